package sortedfile

import "strings"

// Source is rows in ascending order of their keys. An Iterator is a Source.
type Source interface {
	Next() bool    // goes to the next row, and reports whether there is one
	Key() string   // of the current row, valid until the next call of Next
	Value() string // of the current row, valid until the next call of Next
	Err() error    // the reason why Next has returned false, or nil at the end
}

// Merge visits the rows of several sources in the order of their keys, each key once, with its values in the order of the sources: if the newest
// source is the first, the newest value is the first. Keys, values and the slice are valid during the call only. It returns the first error of a source or
// of visit. It does not close the sources.
func Merge(sources []Source, visit func(key string, values []string) error) error {
	m := merger{values: make([]string, 0, len(sources)), heap: make([]head, 0, len(sources))}
	for i, source := range sources {
		if source.Next() {
			m.heap = append(m.heap, head{source.Key(), source, i})
		} else if err := source.Err(); err != nil {
			return err
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	for len(m.heap) > 1 {
		if err := m.step(visit); err != nil {
			return err
		}
	}
	return m.rest(visit)
}

// head is the current row of a source.
type head struct {
	key    string
	source Source
	order  int // of the source
}

// merger has the sources that have rows left, as a heap: the first has the smallest key, and is the first of those with this key.
type merger struct {
	heap   []head
	values []string
	equal  []head // that have been taken from the heap for the current key
}

// less reports whether one head comes before another.
func (h *head) less(other *head) bool {
	return h.key < other.key || h.key == other.key && h.order < other.order
}

// down moves the head at i to its place among those below it.
func (m *merger) down(i int) {
	moved := m.heap[i]
	for {
		child := 2*i + 1
		if child >= len(m.heap) {
			break
		}
		if child+1 < len(m.heap) && m.heap[child+1].less(&m.heap[child]) {
			child++
		}
		if !m.heap[child].less(&moved) {
			break
		}
		m.heap[i] = m.heap[child]
		i = child
	}
	m.heap[i] = moved
}

// up moves the head at i to its place among those above it.
func (m *merger) up(i int) {
	moved := m.heap[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !moved.less(&m.heap[parent]) {
			break
		}
		m.heap[i] = m.heap[parent]
		i = parent
	}
	m.heap[i] = moved
}

// removeFirst removes the first head.
func (m *merger) removeFirst() {
	last := len(m.heap) - 1
	m.heap[0] = m.heap[last]
	m.heap = m.heap[:last]
	if last > 0 {
		m.down(0)
	}
}

// step visits the rows of the first source up to the first row of the others. If both have the same key, it visits this as well.
func (m *merger) step(visit func(key string, values []string) error) error {
	first, second := &m.heap[0], m.second()
	order := strings.Compare(first.key, second)
	for order < 0 {
		m.values = append(m.values[:0], first.source.Value())
		if err := visit(first.key, m.values); err != nil {
			return err
		}
		if !first.source.Next() {
			err := first.source.Err()
			m.removeFirst()
			return err
		}
		first.key = first.source.Key()
		order = strings.Compare(first.key, second)
	}
	if order == 0 {
		return m.stepEqual(visit)
	}
	m.down(0)
	return nil
}

// second returns the smallest key of the sources apart from the first.
func (m *merger) second() string {
	if len(m.heap) > 2 && m.heap[2].key < m.heap[1].key {
		return m.heap[2].key
	}
	return m.heap[1].key
}

// stepEqual visits a key that several sources have, the first among them, and goes to the next row of these sources.
func (m *merger) stepEqual(visit func(key string, values []string) error) error {
	m.down(0)
	key := m.heap[0].key
	m.values, m.equal = m.values[:0], m.equal[:0]
	for len(m.heap) > 0 && m.heap[0].key == key {
		m.values = append(m.values, m.heap[0].source.Value())
		m.equal = append(m.equal, m.heap[0])
		m.removeFirst()
	}
	if err := visit(key, m.values); err != nil {
		return err
	}
	for _, h := range m.equal {
		if h.source.Next() {
			h.key = h.source.Key()
			m.heap = append(m.heap, h)
			m.up(len(m.heap) - 1)
		} else if err := h.source.Err(); err != nil {
			return err
		}
	}
	return nil
}

// rest visits the rows of the only source that is left, if there is one.
func (m *merger) rest(visit func(key string, values []string) error) error {
	if len(m.heap) == 0 {
		return nil
	}
	source := m.heap[0].source
	for more := true; more; more = source.Next() {
		m.values = append(m.values[:0], source.Value())
		if err := visit(source.Key(), m.values); err != nil {
			return err
		}
	}
	return source.Err()
}
