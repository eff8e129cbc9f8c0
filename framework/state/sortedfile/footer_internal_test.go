package sortedfile

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Sizes in a footer that no Writer makes are refused before they cost memory; the largest possible ones are not.
func TestSizesInAFooter(t *testing.T) {
	whole := footer{rows: 153, data: 4096, blocks: 4, parts: 2, index: 6*indexRecord + 100, filter: 5 * lineSize, size: 1 << 20}
	require.NoError(t, whole.check("file"))
	for name, c := range map[string]struct {
		change func(*footer)
		ok     bool
	}{
		"data of the whole file":                  {func(f *footer) { f.size = f.data }, true},
		"more data than the file":                 {func(f *footer) { f.size = f.data - 1 }, false},
		"an index of the whole file":              {func(f *footer) { f.size, f.index = f.data, f.data }, true},
		"a larger index than the file":            {func(f *footer) { f.size, f.index = f.data, f.data+1 }, false},
		"no space for the filter":                 {func(f *footer) { f.filter = -lineSize }, false},
		"the smallest blocks":                     {func(f *footer) { f.rows, f.data, f.index, f.filter = 8, 4*minBlock, 6*indexRecord, 0 }, true},
		"smaller blocks":                          {func(f *footer) { f.rows, f.data, f.index, f.filter = 7, 4*minBlock-1, 6*indexRecord, 0 }, false},
		"a part for each block":                   {func(f *footer) { f.parts = 4 }, true},
		"more parts than blocks":                  {func(f *footer) { f.parts = 5 }, false},
		"a row for each block":                    {func(f *footer) { f.rows, f.filter = 4, 2*lineSize }, true},
		"fewer rows than blocks":                  {func(f *footer) { f.rows, f.filter = 3, 2*lineSize }, false},
		"the smallest rows":                       {func(f *footer) { f.rows = 1024 }, true},
		"smaller rows":                            {func(f *footer) { f.rows = 1025 }, false},
		"an index without separators":             {func(f *footer) { f.index = 6 * indexRecord }, true},
		"an index without a record":               {func(f *footer) { f.index = 6*indexRecord - 1 }, false},
		"separators of all keys":                  {func(f *footer) { f.index = 6*indexRecord + 4096 }, true},
		"separators that are longer than keys":    {func(f *footer) { f.index = 6*indexRecord + 4097 }, false},
		"the longest separators":                  {func(f *footer) { f.size, f.data, f.index = 1<<40, 1<<39, 6*indexRecord+maxSeparators }, true},
		"separators that are too long":            {func(f *footer) { f.size, f.data, f.index = 1<<40, 1<<39, 6*indexRecord+maxSeparators+1 }, false},
		"a filter with a part of a line":          {func(f *footer) { f.filter-- }, false},
		"a filter with more lines than rows need": {func(f *footer) { f.filter += lineSize }, false},
		"the longest meta":                        {func(f *footer) { f.meta = make([]byte, MaxMeta) }, true},
		"meta that is too long":                   {func(f *footer) { f.meta = make([]byte, MaxMeta+1) }, false},
	} {
		f := whole
		c.change(&f)
		err := f.check("file")
		assert.Equal(t, c.ok, err == nil, "%s: %v", name, err)
		if err != nil {
			assert.ErrorIs(t, err, ErrDamaged, name)
		}
	}
}
