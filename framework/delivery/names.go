package delivery

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// token is an id as a part of a subject: letters, digits, - and _ stay, every other byte becomes =XX.
func token(id string) string {
	var b strings.Builder
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	if b.Len() == 0 {
		return "="
	}
	return b.String()
}

// The subjects of what concerns a partition of an instance.
func bookSubject(instance string, partition int) string { return subject("book", instance, partition) }
func askSubject(instance string, partition int) string  { return subject("ctl", instance, partition) }
func parkSubject(instance string, partition int) string { return subject("park", instance, partition) }
func deadSubject(instance string, partition int) string { return subject("dead", instance, partition) }

func subject(kind, instance string, partition int) string {
	return kind + "." + token(instance) + "." + strconv.Itoa(partition)
}

// short is a text of any length as a part of a subject.
func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// untoken is the id of a token.
func untoken(t string) string {
	var b strings.Builder
	for i := 0; i < len(t); i++ {
		if t[i] == '=' && i+2 < len(t) {
			if c, err := strconv.ParseUint(t[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		if t[i] != '=' {
			b.WriteByte(t[i])
		}
	}
	return b.String()
}
