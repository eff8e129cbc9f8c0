package console

import (
	"fmt"
	"strings"
	"time"
)

// The size of a chart in its own units.
const (
	chartWidth  = 720
	chartHeight = 160
	chartFoot   = 22 // room for the times below
	chartSide   = 44 // and for the numbers at the left
	chartBars   = 60
)

// bars is a chart of what was done in each of many spans of time.
type bars struct {
	Width, Height int
	Words         string // the same in words
	Bars          []bar
	Lines         []gridLine
	Times         []label
	Window        string
}

type bar struct {
	Class               string
	X, Y, Width, Height float64
	Words               string
}

type gridLine struct {
	Y     float64
	Left  int
	Right int
	Text  string
}

type label struct {
	X      float64
	Anchor string
	Text   string
}

// series are the outcomes of a chart, from the bottom up.
var series = []struct {
	class string
	of    func(from, to tally) int64
}{
	{"delivered", func(a, b tally) int64 { return b.delivered - a.delivered }},
	{"skipped", func(a, b tally) int64 { return b.skipped - a.skipped }},
	{"retried", func(a, b tally) int64 { return b.retried - a.retried }},
	{"dead", func(a, b tally) int64 { return b.dead - a.dead }},
}

// chartOf draws what became of events in a window of time that ends now.
func chartOf(list []tally, window time.Duration, now time.Time) bars {
	span := window / chartBars
	sums, most := make([][4]int64, chartBars), int64(0)
	begin := now.Add(-window)
	for i := 1; i < len(list); i++ {
		n := int(list[i].at.Sub(begin) / span)
		if list[i].at.Before(begin) || n >= chartBars {
			continue
		}
		for j, s := range series {
			sums[n][j] += max(s.of(list[i-1], list[i]), 0)
		}
	}
	var totals [4]int64
	for _, sum := range sums {
		all := int64(0)
		for j, n := range sum {
			all += n
			totals[j] += n
		}
		most = max(most, all)
	}
	b := bars{Width: chartWidth, Height: chartHeight, Window: lag(window)}
	b.scale(most)
	top := roundUp(most)
	for i, sum := range sums {
		b.stack(i, sum, top, begin.Add(time.Duration(i)*span))
	}
	var words []string
	for j, s := range series {
		words = append(words, fmt.Sprintf("%s %s", count(totals[j]), s.class))
	}
	b.Words = "In the last " + lag(window) + ": " + strings.Join(words, ", ")
	b.Times = []label{
		{chartSide, "start", begin.Local().Format("15:04")}, {chartSide + (chartWidth-chartSide)/2, "middle", begin.Add(window / 2).Local().Format("15:04")},
		{chartWidth, "end", "now"},
	}
	return b
}

// scale draws the lines of the numbers at the left.
func (b *bars) scale(most int64) {
	top := roundUp(most)
	for _, part := range []int64{0, 1, 2} {
		n := top * part / 2
		b.Lines = append(b.Lines, gridLine{Y: heightOf(n, top), Left: chartSide, Right: chartWidth, Text: shortCount(n)})
	}
}

func (b *bars) stack(i int, sum [4]int64, top int64, at time.Time) {
	step := float64(chartWidth-chartSide) / chartBars
	base, words := int64(0), []string{at.Local().Format("15:04:05")}
	for j, n := range sum {
		if n > 0 {
			words = append(words, fmt.Sprintf("%s %s", count(n), series[j].class))
		}
	}
	for j, n := range sum {
		if n == 0 {
			continue
		}
		y := heightOf(base+n, top)
		b.Bars = append(b.Bars, bar{
			Class: series[j].class, X: chartSide + float64(i)*step + 1, Width: step - 2, Y: y, Height: heightOf(base, top) - y, Words: strings.Join(words, " · "),
		})
		base += n
	}
}

// heightOf is where a number lies, from above.
func heightOf(n, top int64) float64 {
	const plot = chartHeight - chartFoot - 8
	return 8 + plot - plot*float64(n)/float64(max(top, 1))
}

// roundUp is an even number that charts may end at.
func roundUp(n int64) int64 {
	if n <= 2 {
		return 2
	}
	for scale := int64(1); ; scale *= 10 {
		for _, step := range []int64{2, 4, 6, 10} {
			if n <= step*scale {
				return step * scale
			}
		}
	}
}

func shortCount(n int64) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%gM", float64(n)/1_000_000)
	case n >= 1000:
		return fmt.Sprintf("%gk", float64(n)/1000)
	}
	return fmt.Sprint(n)
}

// line is a chart of how many there were.
type line struct {
	Width, Height int
	Points        string
	Words         string
	Low, High     int
	From          time.Time
}

// lineOf draws sizes over time; nothing where there are none yet.
func lineOf(list []size, width, height int) *line {
	if len(list) == 0 {
		return nil
	}
	if len(list) == 1 {
		list = append(list, list[0])
	}
	l := &line{Width: width, Height: height, Low: list[0].members, High: list[0].members, From: list[0].at}
	for _, s := range list {
		l.Low, l.High = min(l.Low, s.members), max(l.High, s.members)
	}
	var points []string
	for i, s := range list {
		x := 2 + float64(width-4)*float64(i)/float64(len(list)-1)
		y := float64(height) / 2
		if l.High > l.Low {
			y = float64(height-4) - float64(height-8)*float64(s.members-l.Low)/float64(l.High-l.Low)
		}
		points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
	}
	l.Points = strings.Join(points, " ")
	l.Words = fmt.Sprintf("From %s to %s members since %s", count(list[0].members), count(list[len(list)-1].members), list[0].at.Local().Format("15:04"))
	return l
}
