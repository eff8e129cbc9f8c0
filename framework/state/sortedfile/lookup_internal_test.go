package sortedfile

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testsize"
)

// TestLookupsOfKeysThatTheFilterPasses looks up all keys of two or three letters in a file that has some of them. The filter passes all keys, so
// that what follows it decides.
func TestLookupsOfKeysThatTheFilterPasses(t *testing.T) {
	var keys []string
	for a := 'b'; a < 'z'; a++ {
		for b := 'b'; b < 'z'; b++ {
			keys = append(keys, string([]rune{a, b}))
			for c := 'b'; c < 'z'; c++ {
				keys = append(keys, string([]rune{a, b, c}))
			}
		}
	}
	slices.Sort(keys)
	for round := range testsize.Of(20, 4) {
		random := rand.New(rand.NewPCG(5, uint64(round)))
		path := filepath.Join(t.TempDir(), fmt.Sprint(round))
		w, err := Create(path, nil)
		require.NoError(t, err)
		exists := map[string]bool{}
		for _, key := range keys[300 : len(keys)-300] {
			if random.IntN(1+round*round) == 0 {
				exists[key] = true
				require.NoError(t, w.Add(key, []byte(key)))
			}
		}
		_, err = w.Finish()
		require.NoError(t, err)
		r, err := Open(path)
		require.NoError(t, err)
		for i := range r.filter {
			r.filter[i] = 0xff
		}
		for _, share := range []int{1, 2, 50, 5000} {
			checkPassed(t, r, exists, slices.DeleteFunc(slices.Clone(keys), func(string) bool { return random.IntN(share) > 0 }))
		}
		require.NoError(t, r.Close())
	}
}

// checkPassed looks up keys and compares the result with those that exist.
func checkPassed(t *testing.T, r *Reader, exists map[string]bool, keys []string) {
	want := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !exists[key] })
	got := make([]string, 0, len(want))
	require.NoError(t, r.Get(keys, func(i int, value string) error {
		if value != keys[i] {
			return fmt.Errorf("%s has the value %s", keys[i], value)
		}
		got = append(got, keys[i])
		return nil
	}))
	require.True(t, slices.Equal(want, got))
}
