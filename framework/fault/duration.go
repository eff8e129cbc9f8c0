package fault

import (
	"fmt"
	"strings"
	"time"
)

// Duration returns a duration in its largest unit, such as "90 s" and "30 days".
func Duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", max(d.Milliseconds(), 0))
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// WrittenDuration returns a duration as it is written in a config, such as 720h, with its days if there are several.
func WrittenDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	if d < 48*time.Hour {
		return text
	}
	return fmt.Sprintf("%s (%s)", text, Duration(d))
}
