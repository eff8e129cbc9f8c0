package sortedfile_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
	"github.com/landfall-dev/landfall/internal/testsize"
)

func TestMergeIsTheMergeOfMaps(t *testing.T) {
	for round := range testsize.Of(28, 14) {
		g := generator{rand.New(rand.NewPCG(2, uint64(round)))}
		want := map[string][]string{}
		var sources []sortedfile.Source
		for range round % 7 {
			rows := map[string]string{}
			for range g.IntN(200) {
				rows[fmt.Sprint(g.IntN(300))] = g.value()
			}
			for key, value := range rows {
				want[key] = append(want[key], value)
			}
			it := open(t, write(t, rows)).Iterate("")
			defer it.Close()
			sources = append(sources, it)
		}
		got, last := map[string][]string{}, ""
		require.NoError(t, sortedfile.Merge(sources, func(key string, values []string) error {
			require.Less(t, last, key)
			last = strings.Clone(key)
			for _, value := range values {
				got[last] = append(got[last], strings.Clone(value))
			}
			return nil
		}))
		require.Equal(t, want, got)
	}
}

// listSource is a source in memory, with an error after its rows.
type listSource struct {
	keys []string
	at   int
	err  error
}

func (s *listSource) Next() bool    { s.at++; return s.at <= len(s.keys) }
func (s *listSource) Key() string   { return s.keys[s.at-1] }
func (s *listSource) Value() string { return s.keys[s.at-1] }
func (s *listSource) Err() error    { return s.err }

func TestMergeReturnsErrors(t *testing.T) {
	failure := errors.New("failure")
	for name, sources := range map[string][]sortedfile.Source{
		"at once":         {&listSource{keys: []string{"a"}}, &listSource{err: failure}},
		"alone":           {&listSource{keys: []string{"a"}, err: failure}},
		"of one key":      {&listSource{keys: []string{"a", "c"}}, &listSource{keys: []string{"b"}, err: failure}},
		"of a common key": {&listSource{keys: []string{"a", "c"}}, &listSource{keys: []string{"a"}, err: failure}},
	} {
		assert.Equal(t, failure, sortedfile.Merge(sources, func(key string, _ []string) error {
			assert.NotEqual(t, "c", key, name)
			return nil
		}), name)
	}
	for _, n := range []int{1, 2} {
		sources := []sortedfile.Source{&listSource{keys: []string{"a", "b"}}, &listSource{keys: []string{"a"}}}[:n]
		assert.Equal(t, failure, sortedfile.Merge(sources, func(key string, _ []string) error {
			assert.Equal(t, "a", key)
			return failure
		}))
	}
}

func TestMergeOfManyIterators(t *testing.T) {
	rows := manyRows()
	keys := slices.Sorted(maps.Keys(rows))
	parts := make([]map[string]string, 3)
	for i := range parts {
		parts[i] = map[string]string{}
	}
	for i, key := range keys {
		parts[i*7%3][key] = rows[key]
	}
	var sources []sortedfile.Source
	for _, part := range parts {
		it := open(t, write(t, part)).Iterate("")
		defer it.Close()
		sources = append(sources, it)
	}
	at := 0
	require.NoError(t, sortedfile.Merge(sources, func(key string, values []string) error {
		if key != keys[at] || len(values) != 1 || values[0] != rows[key] {
			return fmt.Errorf("row %d is %q with %q", at, key, values)
		}
		at++
		return nil
	}))
	assert.Equal(t, len(keys), at)
}
