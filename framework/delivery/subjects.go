package delivery

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// subjectToken encodes an id as a token of a NATS subject: letters, digits, - and _ stay, every other byte becomes =XX.
func subjectToken(id string) string {
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

// Subjects of a partition of an instance.
func checkpointSubject(instance string, partition int) string {
	return partitionSubject("book", instance, partition)
}
func commandSubject(instance string, partition int) string {
	return partitionSubject("ctl", instance, partition)
}
func parkSubject(instance string, partition int) string {
	return partitionSubject("park", instance, partition)
}
func deadSubject(instance string, partition int) string {
	return partitionSubject("dead", instance, partition)
}

func partitionSubject(kind, instance string, partition int) string {
	return kind + "." + subjectToken(instance) + "." + strconv.Itoa(partition)
}

// shortHash returns a hash of a text as a token of a subject.
func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// parseToken returns the id that a token encodes.
func parseToken(t string) string {
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
