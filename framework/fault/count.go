package fault

import "fmt"

// Count returns a number with its noun, such as "1 event" and "2 events". The plural of the noun ends in s.
func Count[N int | int64 | uint64](n N, noun string) string {
	return fmt.Sprintf("%d %s", n, Plural(n, noun, noun+"s"))
}

// Plural returns one if n is 1, and many otherwise: "is" or "are", "it" or "them".
func Plural[N int | int64 | uint64](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
