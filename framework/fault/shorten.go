package fault

import "strings"

// Shorten returns text, or its first most characters followed by an ellipsis if it has more. Bytes of the part that are not UTF-8 are
// dropped. All messages, reasons and logs that show a part of something use it.
func Shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	n := 0
	for i := range text {
		if n == most {
			return strings.ToValidUTF8(text[:i], "") + "…"
		}
		n++
	}
	return text
}
