package fault

// Nearest is the name most like word, and "" where none is like it: at most a third of its letters may differ.
func Nearest(word string, names []string) string {
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

// edits is the number of letters to insert, remove or change to turn a into b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
