package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// progress measures how far an input has been read.
type progress struct {
	io.Reader
	total int64 // bytes; 0 if unknown
	read  atomic.Int64
	began time.Time
}

// newProgress returns a progress that reads from input. The total is known if the input is a regular file.
func newProgress(input io.Reader, now time.Time) *progress {
	p := &progress{Reader: input, began: now}
	if f, ok := input.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			p.total = info.Size()
		}
	}
	return p
}

// Read reads from the input and counts the bytes.
func (p *progress) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.read.Add(int64(n))
	return n, err
}

// barWidth is the width of a progress bar in characters.
const barWidth = 24

// statusLine returns the progress as one line. If the total is known, it has a bar, the percentage and the remaining time.
func (p *progress) statusLine(events int, now time.Time) string {
	elapsed := now.Sub(p.began).Seconds()
	rate := ""
	if elapsed > 0 {
		rate = fmt.Sprintf(" · %.0f/s", float64(events)/elapsed)
	}
	if p.total == 0 {
		return fmt.Sprintf("%s%s", fault.Count(events, "event"), rate)
	}
	done := min(float64(p.read.Load())/float64(p.total), 1)
	full := int(done * barWidth)
	bar := strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
	left := ""
	if done > 0 && done < 1 {
		left = fmt.Sprintf(" · %s left", time.Duration(elapsed*(1-done)/done*float64(time.Second)).Round(time.Second))
	}
	return fmt.Sprintf("%s %3.0f %% · %s%s%s", bar, done*100, fault.Count(events, "event"), rate, left)
}
