package eventlog

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestTextsOfDamage checks what is said about a damaged file: whether anything is lost, and which sequences.
func TestTextsOfDamage(t *testing.T) {
	for want, f := range map[string]FileDamage{
		"S/1.blk ends in an interrupted write":                                       {Torn: true},
		"S/1.blk had 1 damaged record, repaired without loss":                        {Repaired: 1},
		"S/1.blk is damaged in 1 place: records up to sequence 9 are lost":           {Lost: 1, Last: 9},
		"S/1.blk is damaged in 2 places: records between sequences 3 and 9 are lost": {Lost: 2, First: 3, Last: 9, Repaired: 1},
		"S/1.blk is damaged in 1 place: records are lost":                            {Lost: 1},
	} {
		f.Stream, f.File = "S", "1.blk"
		assert.Equal(t, want, f.String())
	}
}
