package dispatch

import "iter"

// Chain describes the tasks of one key: the first, which is in its lane, in flight or waits for a retry, and those behind it.
type Chain[T any] struct {
	First *Task[T]
	Count int
	Bytes int
}

// chain is what the first task of a key has about all tasks of the key. They are linked by their next fields.
type chain[T any] struct {
	last     *Task[T]
	n, bytes int
}

// chainTable finds the first task of a key. It is a hash table whose buckets are lists of tasks. A map of chains would be read and written
// in more places for each task, with texts to compare, and tens of thousands of waiting tasks do not fit into the processor's caches.
type chainTable[T any] struct {
	hash    func(key string) uint64
	buckets []*Task[T] // linked by sameBucket; their number is a power of two
	n       int        // keys
}

// minBuckets is the number of buckets of a table with few keys.
const minBuckets = 16

// find returns the first task of a key, or nil. hash is the hash of the key.
func (c *chainTable[T]) find(key string, hash uint64) *Task[T] {
	if c.n == 0 {
		return nil
	}
	t := *c.bucket(hash)
	for t != nil && (t.hash != hash || t.Key != key) {
		t = t.sameBucket
	}
	return t
}

// bucket returns the bucket of a hash in a table that has buckets.
func (c *chainTable[T]) bucket(hash uint64) **Task[T] {
	return &c.buckets[hash&uint64(len(c.buckets)-1)]
}

// add adds the first task of a key that is not in the table.
func (c *chainTable[T]) add(t *Task[T]) {
	if c.n >= len(c.buckets)/2 {
		c.grow()
	}
	c.n++
	c.link(t)
}

func (c *chainTable[T]) link(t *Task[T]) {
	b := c.bucket(t.hash)
	t.sameBucket, *b = *b, t
}

func (c *chainTable[T]) grow() {
	old := c.buckets
	c.buckets = make([]*Task[T], max(2*len(old), minBuckets))
	for _, t := range old {
		for t != nil {
			next := t.sameBucket
			c.link(t)
			t = next
		}
	}
}

// replace makes another task the first of the key of one that is in the table. If the other is nil, it removes the key.
func (c *chainTable[T]) replace(t, other *Task[T]) {
	if t == other {
		return
	}
	place := c.bucket(t.hash)
	for *place != t {
		place = &(*place).sameBucket
	}
	*place, t.sameBucket, t.chain = t.sameBucket, nil, chain[T]{}
	if other == nil {
		c.n--
		return
	}
	other.sameBucket, *place = *place, other
}

// all returns the first task of each key, in any order. The table must not be changed meanwhile.
func (c *chainTable[T]) all() iter.Seq[*Task[T]] {
	return func(yield func(*Task[T]) bool) {
		for _, t := range c.buckets {
			for ; t != nil; t = t.sameBucket {
				if !yield(t) {
					return
				}
			}
		}
	}
}

// appendToChain appends a task to the chain of its key. It reports whether the task is the first.
func (o *Owner[T]) appendToChain(t *Task[T]) bool {
	t.hash = o.chains.hash(t.Key)
	first := o.chains.find(t.Key, t.hash)
	if first == nil {
		t.chain = chain[T]{last: t, n: 1, bytes: t.Bytes}
		o.chains.add(t)
		return true
	}
	c := &first.chain
	c.last.next = t
	c.last = t
	c.n++
	c.bytes += t.Bytes
	return false
}

// popFromChain removes the first task of a key from its chain. It returns the next one, or nil.
func (o *Owner[T]) popFromChain(t *Task[T]) *Task[T] {
	c, next := t.chain, t.next
	c.n--
	c.bytes -= t.Bytes
	t.next = nil
	o.setFirst(t, next, c)
	return next
}

// setFirst makes other the first task of its key in place of t, and moves the chain to it. If other is nil, the key has no tasks left.
func (o *Owner[T]) setFirst(t, other *Task[T], c chain[T]) {
	o.chains.replace(t, other)
	if other != nil {
		other.chain = c
	}
}

// relink makes the kept tasks, followed by tail, the chain of a key whose first task was t. It returns the first of them, or nil.
func (o *Owner[T]) relink(t *Task[T], c chain[T], kept []*Task[T], tail *Task[T]) *Task[T] {
	if tail == nil && len(kept) > 0 {
		c.last = kept[len(kept)-1]
	}
	first := tail
	for i := len(kept) - 1; i >= 0; i-- {
		kept[i].next, first = first, kept[i]
	}
	o.setFirst(t, first, c)
	return first
}

// cutChain removes tasks from the chain of a first task and returns them: all, or those that neither are in a batch in flight nor were in
// a failed request with the first one.
func (o *Owner[T]) cutChain(first *Task[T], keepSent bool) (removed []*Task[T]) {
	rest := first
	if keepSent {
		last := first
		for n := 0; last.next != nil && (last.next.inRequest || n < first.past().carried); n++ {
			last = last.next
		}
		rest, last.next, first.chain.last = last.next, nil, last
	} else {
		o.chains.replace(first, nil)
	}
	for rest != nil {
		t := rest
		rest, t.next = t.next, nil
		removed = append(removed, t)
	}
	if keepSent {
		first.chain.n -= len(removed)
		for _, t := range removed {
			first.chain.bytes -= t.Bytes
		}
	}
	return removed
}
