package fault

import "strings"

// maxWord bounds the words that are compared.
const maxWord = 100

// Nearest is the name most like word, and "" where none is like it: at most a third of its letters may differ.
func Nearest(word string, names []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, fewest := "", len(word)/3+1
	for _, name := range names {
		if d := edits(word, name); d < fewest {
			best, fewest = name, d
		}
	}
	return best
}

// DidYouMean is ` (did you mean "name"?)` for the name most like word, and "" where none is like it.
func DidYouMean(word string, names []string) string {
	if name := Nearest(word, names); name != "" {
		return ` (did you mean "` + name + `"?)`
	}
	return ""
}

// edits is the number of letters to insert, remove, change or swap with their neighbour to turn a into b.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			best := min(change, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				best = min(best, rows[i-2][j-2]+1)
			}
			rows[i][j] = best
		}
	}
	return rows[len(a)][len(b)]
}

// Article is "a word" or "an word".
func Article(word string) string {
	if word != "" && strings.ContainsRune("aeiou", rune(word[0])) {
		return "an " + word
	}
	return "a " + word
}
