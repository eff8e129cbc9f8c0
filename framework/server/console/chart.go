package console

import (
	"fmt"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// Dimensions of a chart in SVG units.
const (
	chartWidth  = 720
	chartHeight = 160
	chartFoot   = 22 // height of the time labels below the plot
	chartSide   = 44 // width of the number labels at the left
	chartBars   = 60
)

// barChart is a stacked bar chart of event outcomes over time.
type barChart struct {
	Width, Height int
	Summary       string // text alternative
	Bars          []bar
	Lines         []gridLine
	Times         []label
	Window        string
}

type bar struct {
	Class               string
	X, Y, Width, Height float64
	Tooltip             string
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

// series are the stacked outcomes, from the bottom up.
var series = []struct {
	class string
	count func(from, to snapshot) int64
}{
	{"delivered", func(a, b snapshot) int64 { return b.delivered - a.delivered }},
	{"skipped", func(a, b snapshot) int64 { return b.skipped - a.skipped }},
	{"retried", func(a, b snapshot) int64 { return b.retried - a.retried }},
	{"dead", func(a, b snapshot) int64 { return b.dead - a.dead }},
}

// newBarChart draws the outcomes in the window that ends at now.
func newBarChart(list []snapshot, window time.Duration, now time.Time) barChart {
	span := window / chartBars
	sums, highest := make([][4]int64, chartBars), int64(0)
	begin := now.Add(-window)
	for i := 1; i < len(list); i++ {
		n := int(list[i].at.Sub(begin) / span)
		if list[i].at.Before(begin) || n >= chartBars {
			continue
		}
		for j, s := range series {
			sums[n][j] += max(s.count(list[i-1], list[i]), 0)
		}
	}
	var totals [4]int64
	for _, sum := range sums {
		all := int64(0)
		for j, n := range sum {
			all += n
			totals[j] += n
		}
		highest = max(highest, all)
	}
	b := barChart{Width: chartWidth, Height: chartHeight, Window: fault.Duration(window)}
	b.addGridLines(highest)
	top := roundUpScale(highest)
	for i, sum := range sums {
		b.addBar(i, sum, top, begin.Add(time.Duration(i)*span))
	}
	var words []string
	for j, s := range series {
		words = append(words, fmt.Sprintf("%s %s", formatCount(totals[j]), s.class))
	}
	b.Summary = "In the last " + fault.Duration(window) + ": " + strings.Join(words, ", ")
	b.Times = []label{
		{chartSide, "start", begin.Local().Format("15:04")}, {chartSide + (chartWidth-chartSide)/2, "middle", begin.Add(window / 2).Local().Format("15:04")},
		{chartWidth, "end", "now"},
	}
	return b
}

// addGridLines adds the horizontal lines and their numbers.
func (b *barChart) addGridLines(highest int64) {
	top := roundUpScale(highest)
	for _, part := range []int64{0, 1, 2} {
		n := top * part / 2
		b.Lines = append(b.Lines, gridLine{Y: yPosition(n, top), Left: chartSide, Right: chartWidth, Text: shortCount(n)})
	}
}

// addBar adds the i-th bar, with one segment for each outcome.
func (b *barChart) addBar(i int, sum [4]int64, top int64, at time.Time) {
	step := float64(chartWidth-chartSide) / chartBars
	base, words := int64(0), []string{at.Local().Format("15:04:05")}
	for j, n := range sum {
		if n > 0 {
			words = append(words, fmt.Sprintf("%s %s", formatCount(n), series[j].class))
		}
	}
	for j, n := range sum {
		if n == 0 {
			continue
		}
		y := yPosition(base+n, top)
		b.Bars = append(b.Bars, bar{
			Class: series[j].class, X: chartSide + float64(i)*step + 1, Width: step - 2, Y: y, Height: yPosition(base, top) - y, Tooltip: strings.Join(words, " · "),
		})
		base += n
	}
}

// yPosition returns the vertical position of a value, measured from the top.
func yPosition(n, top int64) float64 {
	const plot = chartHeight - chartFoot - 8
	return 8 + plot - plot*float64(n)/float64(max(top, 1))
}

// roundUpScale returns the upper end of the scale for values up to n. It is even, so that half of it is a whole number.
func roundUpScale(n int64) int64 {
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

// sparkline is a small chart of a cohort's size over time.
type sparkline struct {
	Width, Height int
	Points        string
	Summary       string // text alternative
	Low, High     int
	From          time.Time
}

// newSparkline draws sizes over time. It returns nil if the list is empty.
func newSparkline(list []cohortSize, width, height int) *sparkline {
	if len(list) == 0 {
		return nil
	}
	if len(list) == 1 {
		list = append(list, list[0])
	}
	l := &sparkline{Width: width, Height: height, Low: list[0].members, High: list[0].members, From: list[0].at}
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
	l.Summary = fmt.Sprintf("From %s to %s members since %s", formatCount(list[0].members), formatCount(list[len(list)-1].members), list[0].at.Local().Format("15:04"))
	return l
}
