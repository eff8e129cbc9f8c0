package event

// markBlocks is markBlocksPlain with instructions that every amd64 processor has. FuzzMarks compares the two.
//
//go:noescape
func markBlocks(text string, marks []uint64) (ascii bool)
