package event

import (
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestKeyGetsWhatValueGetReturns(t *testing.T) {
	shape := NewShape([]string{"a", "b", "c"})
	one, two := NewInt(1), NewInt(2)
	values := []Value{
		NewRecord(shape, []Value{one, {}, two}), NewSlots(shape, []Value{{}, two, one}), NewRecord(NewShape([]string{"b", "a"}), []Value{two, one}),
		NewObject(nil), MustParse(`{"a":1,"b":{"c":2},"a":3}`), MustParse(`["a"]`), NewArray([]Value{one}), NewString("a"), {},
	}
	var all sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "x", ""} {
		key := NewKey(name)
		for range 4 { // concurrently, to test the cached index
			all.Go(func() {
				for i := range 1000 {
					v := values[i%len(values)]
					assert.True(t, Equal(v.Get(name), key.Get(v)), "%s in %s", name, v.JSON())
				}
			})
		}
	}
	all.Wait()
}

func TestNewRecordHasNoHoles(t *testing.T) {
	shape := NewShape([]string{"a", "b"})
	hollow := NewSlots(shape, []Value{{}, NewInt(1)})
	for text, v := range map[string]Value{
		`{"b":1}`:       NewRecord(shape, []Value{{}, NewInt(1)}),
		`{"a":{"b":1}}`: NewRecord(shape, []Value{hollow, {}}).WithoutHoles(), // nested objects may have holes
		`[{"b":1}]`:     NewArray([]Value{hollow}).WithoutHoles(),
	} {
		assert.Equal(t, text, v.JSON())
		n := 0
		for _, slot := range v.Slots() {
			assert.NotEqual(t, Absent, slot.Kind())
			n++
		}
		assert.Equal(t, v.Kind() == Object, n == 1)
		assert.Equal(t, v, v.WithoutHoles())
	}
	assert.Equal(t, 1, hollow.Len())
}

// TestContainersOfAnySize crosses the limits of a shortNode: size, length and start.
func TestContainersOfAnySize(t *testing.T) {
	for _, n := range []int{0, 1, 4094, 4095, 4096, 9520, 9530, 70_000} { // too many items, or a text that is too long
		text := []byte{'['}
		for i := range n {
			text = append(strconv.AppendInt(append(text, '['), int64(i), 10), ']', ',')
		}
		v := MustParse(string(append(text, '7', ']')))
		assert.Equal(t, n+1, v.Len())
		for _, i := range []int{0, n / 2, n - 1} {
			if i >= 0 && i < n {
				assert.Equal(t, strconv.Itoa(i), v.Index(i).Index(0).Digits())
			}
		}
		assert.Equal(t, "7", v.Index(n).Digits())
		assert.True(t, Equal(v, MustParse(v.JSON())))
	}
}
