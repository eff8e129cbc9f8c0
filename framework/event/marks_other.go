//go:build !amd64

package event

func markBlocks(text string, marks []uint64) (ascii bool) { return markBlocksPlain(text, marks) }
