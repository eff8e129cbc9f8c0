package event

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testsize"
)

// FuzzOutline lets a scanner learn the outline of one text, and compares how it then reads another with the plain code: the index is the same,
// and if the outline is, so is what a path leads to whose place is known from the first text.
func FuzzOutline(f *testing.F) {
	for _, seed := range [][3]string{
		{`{"a":1,"b":{"c":2}}`, `{"a":{"b":1},"c":2}`, "b.c"}, {`{"a":{"b":1},"c":2}`, `{"a":1,"b":{"c":2}}`, "a.b"},
		{`{"a":[[1],2],"b":{"c":"x"}}`, `{"a":[1,[2]],"b":{"c":null}}`, "b.c"}, {`{"a":"x","b":1}`, `{"a":{},"b":1}`, "a.length"},
		{`{"a":[{"b":1}],"c":2}`, `{"a":[{"b":"x"}],"c":[]}`, "c"}, {`{"a":1,"a":{"b":2}}`, `{"a":null,"a":{"b":"y"}}`, "a.b"},
		{`{"a":"x"}`, `{"a": "y"}`, "a"}, {`{"a" :"x"}`, `{"a":"y"}`, "a"}, {`{"\u0061":"x"}`, `{"a":"y"}`, "a"}, {`{"a":"x"}`, `{"\u0061":"y"}`, "a"},
		{`{"":1,"b":[]}`, `{"":2,"b":[]}`, "b"}, {`{"a":1}`, `{"a":1,"b":2}`, "b"}, {`{"a":1,"b":2}`, `{"a":1}`, "b"}, {`{}`, `[]`, ""}, {`7`, `{"a":1}`, "a"},
		{`{"a":[0,{"b":[]}],"c":{"d":1}}`, `{"a":[{},{"b":[]}],"c":{"d":1}}`, "c.d"}, {`{"é":1,"b":2}`, `{"é":3,"b":4}`, "b"}, {`{"a":1}`, `{"a":1`, "a"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, first, second, path string) { compareWithOutline(t, first, second, NewPath(path)) })
}

// compareWithOutline checks how a scanner that has learned the outline of one text reads another, and reports whether it has the same outline.
func compareWithOutline(t *testing.T, first, second string, path Path) (same bool) {
	d := &fastScanner{known: &outlines{}}
	for range learnAfter {
		if doc, ascii := d.scanText(first); doc == nil || !ascii {
			return false
		}
	}
	for i, text := range []string{first, second, first} {
		s := scanner{text: text}
		err := s.scanText()
		got, _ := d.scanText(text)
		if err != nil || got == nil {
			assert.Equal(t, err != nil || exceedsShortNodes(s.index), got == nil, "%q", text)
			continue
		}
		want := &document{text: text, outline: &outline{longNodes: s.index}}
		assertSameNode(t, want, got, want.root(), got.root())
		plain, outlined := want.valueOf(want.root()), got.valueOf(got.root())
		assert.Equal(t, plain.appendJSON(nil, visitAll), outlined.appendJSON(nil, copyCompact), "%q after %q", text, first)
		assert.Equal(t, path.Read(plain).JSON(), path.Read(outlined).JSON(), "%s in %q after %q", path, text, first)
		same = same || i == 1 && got.outline != nil
	}
	return same
}

// TestRandomTextsWithOutlines compares random texts that differ little with the plain code.
func TestRandomTextsWithOutlines(t *testing.T) {
	random, same := rand.New(rand.NewPCG(1, 2)), 0
	key := func() string { return []string{"a", "b", "cc", "a key of more than 16 bytes"}[random.IntN(4)] }
	var value func(depth int) string
	value = func(depth int) string {
		n, parts := random.IntN(4), []string{}
		switch kind := random.IntN(6); {
		case depth > 0 && kind < 3:
			for range n {
				parts = append(parts, strconv.Quote(key())+":"+value(depth-1))
			}
			return "{" + strings.Join(parts, ",") + "}"
		case depth > 0 && kind == 3:
			for range n {
				parts = append(parts, value(depth-1))
			}
			return "[" + strings.Join(parts, ",") + "]"
		}
		return []string{"1", "null", "\"x\"", "\"é\"", "true", "\"\""}[random.IntN(6)]
	}
	for range testsize.Of(20_000, 2_000) {
		first := `{"a":` + value(3) + `,"b":` + value(2) + `,"cc":` + value(1) + `}`
		old := []string{"1", "null", "x", `"b":`, "{}", "[]", `"a":`, "true"}
		second := strings.Replace(first, old[random.IntN(len(old))], []string{`{"a":1}`, "2", "[1,2]", `"cc":`, "{}"}[random.IntN(5)], 1)
		if compareWithOutline(t, first, second, PathOf(key(), key(), key())) {
			same++
		}
	}
	assert.NotZero(t, same)
}

// TestOutlinesAreLearned checks that texts with the keys of those before them share their outline, whatever their values, and others do not.
func TestOutlinesAreLearned(t *testing.T) {
	d := &fastScanner{known: &outlines{}}
	outlineOf := func(text string) *outline {
		doc, _ := d.scanText(text)
		require.NotNil(t, doc)
		return doc.outline
	}
	for range learnAfter {
		assert.Nil(t, outlineOf(`{"a":{"b":1},"c":[true]}`))
	}
	known := outlineOf(`{"a":{"b":1},"c":[true]}`)
	require.NotNil(t, known)
	for _, same := range []string{`{"a":{"b":"longer"},"c":[null]}`, `{"a":{"b":"\"\u0061"},"c":[ 1 , {"d":[]}]}`, `{"a":{"b":[]},"c":7}`, `{"a":{"b":"é"},"c":-0.5e1}`} {
		assert.Same(t, known, outlineOf(same), same)
	}
	for _, other := range []string{`{"a":{"b":1}}`, `{"a":{"b":1},"c":{}}`, `{"a": {"b":1},"c":1}`, `{"a":{"b": 1},"c":1}`, `{"a":{"b":1},"c":1} `, `{"a":{"b":1,"c":[true]}}`, `{"a":{"b":1},"c":[true],"d":1}`, `{"a" :{"b":1},"c":[true]}`, `{}`, `1`} {
		assert.Nil(t, outlineOf(other), other)
	}
	assert.Same(t, known, d.known.learn(`{"a":{"b":2},"c":7}`))
}

// TestOutlinesOfSeveralOrigins checks that texts of many origins, which arrive in turn and begin in the same way, all have outlines, and
// that those in use remain if there are too many.
func TestOutlinesOfSeveralOrigins(t *testing.T) {
	d, origins := &fastScanner{known: &outlines{}}, maxOutlines/2
	text := func(origin int) string {
		return fmt.Sprintf(`{"type":"track","context":{"ip":"::1"%s},"properties":{"%d":"x"}}`, strings.Repeat(`,"a":[1]`, origin%2), origin/2)
	}
	knows := func(origin int) bool {
		doc, _ := d.scanText(text(origin))
		return doc.outline != nil
	}
	for range 40 * learnAfter * origins {
		knows(rand.IntN(origins))
	}
	for origin := range origins {
		assert.True(t, knows(origin), text(origin))
	}
	for i := range maxOutlines {
		d.known.learn(fmt.Sprintf(`{"other":{"%d":0}}`, i))
		assert.LessOrEqual(t, len(d.known.known), maxOutlines)
	}
	for origin := range origins {
		assert.True(t, knows(origin), text(origin))
	}
}

// TestUselessOutlinesAreLearnedRarely checks that texts that all differ do not let a scanner learn each of them.
func TestUselessOutlinesAreLearnedRarely(t *testing.T) {
	l, learned := learner{}, 0
	for range 100_000 {
		if l.shouldLearn() {
			learned++
		}
	}
	assert.Less(t, learned, 50)
}

// TestPathsServeManyGoroutines reads a path from documents with different outlines in several goroutines.
func TestPathsServeManyGoroutines(t *testing.T) {
	path := NewPath("context.user.id")
	texts := []string{`{"context":{"user":{"id":"0"}}}`, `{"a":[],"context":{"b":2,"user":{"c":{},"id":"1"}}}`, `{"context":{"user":{"id":"x"},"user":{"id":"2"}}}`}
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range testsize.Of(5_000, 500) {
				n := (i/(20*(g+1)) + g) % len(texts) // in runs, so that outlines are learned
				assert.Equal(t, strconv.Itoa(n), path.Read(MustParse(texts[n])).Str())
			}
		})
	}
	all.Wait()
}
