package fault

import "strings"

// maxWord is the maximum length of a word that is compared, in bytes.
const maxWord = 100

// Nearest returns the name most similar to word, or "" if none differs by at most a third of word's letters.
func Nearest(word string, names []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, smallest := "", len(word)/3+1
	for _, name := range names {
		if d := editDistance(word, name); d < smallest {
			best, smallest = name, d
		}
	}
	return best
}

// DidYouMean returns ` (did you mean "name"?)` for the name most similar to word, or "" if none is similar.
func DidYouMean(word string, names []string) string {
	if name := Nearest(word, names); name != "" {
		return ` (did you mean "` + name + `"?)`
	}
	return ""
}

// editDistance returns how many letters must be inserted, removed, replaced or swapped with their neighbor to turn a into b.
func editDistance(a, b string) int {
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

// WithArticle returns the word with an indefinite article: "a string", "an object".
func WithArticle(word string) string {
	if word != "" && strings.ContainsRune("aeiou", rune(word[0])) {
		return "an " + word
	}
	return "a " + word
}
