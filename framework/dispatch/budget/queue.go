package budget

import "slices"

// backgroundTurn is after how many live requests one of the class Background goes first, while both wait.
const backgroundTurn = 19

// waiter is a request that waits for tokens.
type waiter struct {
	instance string
	class    Class
	bytes    int64
	blocked  bool          // it is live and had to wait for tokens
	granted  chan struct{} // closed when it has its tokens
}

// waiters are the waiting requests. Instances take turns, and the requests of an instance keep their order.
type waiters struct {
	turns     [classes][]string // instances with waiting requests; the first is next
	queues    [classes]map[string][]*waiter
	sinceTurn int // live requests since the last one of the class Background
}

func (q *waiters) push(w *waiter) {
	if q.queues[w.class] == nil {
		q.queues[w.class] = map[string][]*waiter{}
	}
	if len(q.queues[w.class][w.instance]) == 0 {
		q.turns[w.class] = append(q.turns[w.class], w.instance)
	}
	q.queues[w.class][w.instance] = append(q.queues[w.class][w.instance], w)
}

// remove removes a request, if it waits.
func (q *waiters) remove(w *waiter) {
	list := q.queues[w.class][w.instance]
	i := slices.Index(list, w)
	if i < 0 {
		return
	}
	list = slices.Delete(list, i, i+1)
	if len(list) > 0 {
		q.queues[w.class][w.instance] = list
		return
	}
	delete(q.queues[w.class], w.instance)
	turns := q.turns[w.class]
	q.turns[w.class] = slices.Delete(turns, slices.Index(turns, w.instance), slices.Index(turns, w.instance)+1)
}

// head returns the next request of a class, or nil.
func (q *waiters) head(class Class) *waiter {
	if len(q.turns[class]) == 0 {
		return nil
	}
	return q.queues[class][q.turns[class][0]][0]
}

// grant removes the next request of a class, and lets the next instance take its turn.
func (q *waiters) grant(w *waiter) {
	turns := q.turns[w.class]
	q.turns[w.class] = append(slices.Delete(turns, 0, 1), w.instance)
	q.remove(w)
	if q.sinceTurn++; w.class == Background || q.head(Background) == nil {
		q.sinceTurn = 0
	}
	close(w.granted)
}

// order returns the classes in the order in which they may take tokens.
func (q *waiters) order() [classes]Class {
	if q.sinceTurn >= backgroundTurn && q.head(Background) != nil {
		return [classes]Class{Background, Live}
	}
	return [classes]Class{Live, Background}
}

// need returns how many tokens of a meter all waiting requests of a class need.
func (q *waiters) need(class Class, m *meter) (n int64) {
	for _, list := range q.queues[class] {
		for _, w := range list {
			n += m.cost(w.bytes)
		}
	}
	return n
}

// count returns the number of waiting requests.
func (q *waiters) count() (n int) {
	for _, queue := range q.queues {
		for _, list := range queue {
			n += len(list)
		}
	}
	return n
}
