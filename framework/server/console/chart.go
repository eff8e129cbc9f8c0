package console

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/server/history"
)

// Dimensions of a chart in SVG units.
const (
	chartWidth  = 720
	chartHeight = 180
	chartHead   = 10 // above the plot
	chartFoot   = 24 // height of the time labels below the plot
	chartSide   = 64 // width of the number labels at the left
)

// chart is a chart over time, with the same numbers as a table.
type chart struct {
	Width, Height int
	Title         string // what it shows, with its unit
	Summary       string // text alternative
	Window        window
	Series        []chartSeries
	Lines         []gridLine
	Ticks         []label
	Hits          []hit // what is said when the pointer is on a bar; only if asked for
	Rows          []chartRow
	Empty         bool
}

// chartSeries is one color of a chart.
type chartSeries struct {
	Class, Name string
	Total       int64
	Link        string // to the list of what is counted; "" if there is none
	Path        string
}

// hit is an invisible bar over the whole height.
type hit struct {
	X, Width float64
	Text     string
}

// chartRow is a row of the table: the numbers of one bar.
type chartRow struct {
	From, To time.Time
	Cells    []chartCell
}

type chartCell struct {
	N    int64
	Link string
}

type gridLine struct {
	Y    float64
	Left int
	Text string
}

type label struct {
	X    float64
	Text string
}

// series says how a chart draws one kind of numbers.
type series struct {
	class, name string
	outcomes    []string // whose numbers are added
	rest        bool     // outcomes that no other series has are added as well
	link        func(from, to time.Time) string
}

// sum returns the sum of the series in numbers by outcome.
func (s series) sum(numbers map[string]int64, all []series) (n int64) {
	for outcome, count := range numbers {
		if s.has(outcome, all) {
			n += count
		}
	}
	return n
}

// has reports whether the series has an outcome.
func (s series) has(outcome string, all []series) bool {
	if slices.Contains(s.outcomes, outcome) || !s.rest {
		return slices.Contains(s.outcomes, outcome)
	}
	return !slices.ContainsFunc(all, func(other series) bool { return slices.Contains(other.outcomes, outcome) })
}

// newCountChart draws numbers of events, stacked. read returns the numbers by outcome that a slot adds.
func newCountChart(title string, kinds []series, slots []history.CountSlot, w window, now time.Time, read func(history.Counts) map[string]int64) chart {
	c := chart{Width: chartWidth, Height: chartHeight, Title: title + ", events per " + w.unit, Window: w}
	begin, sums := w.begin(now), sumBars(kinds, slots, w, now, read)
	totals, highest := make([]int64, len(kinds)), int64(0)
	for _, sum := range sums {
		all := int64(0)
		for j, n := range sum {
			all += n
			totals[j] += n
		}
		highest = max(highest, all)
	}
	top := roundUpScale(highest)
	c.Empty = highest == 0
	c.addGridLines(0, top)
	c.addTicks(now)
	paths := make([]strings.Builder, len(kinds))
	for i, sum := range sums {
		c.addBar(paths, i, sum, top)
		c.addRow(kinds, i, sum, begin.Add(time.Duration(i)*w.step))
	}
	var words []string
	for j, kind := range kinds {
		c.Series = append(c.Series, chartSeries{kind.class, kind.name, totals[j], kind.link(begin, begin.Add(time.Duration(len(sums))*w.step)), paths[j].String()})
		words = append(words, formatCount(totals[j])+" "+kind.name)
	}
	c.Summary = title + " in the last " + w.Past + ": " + strings.Join(words, ", ")
	return c
}

// sumBars returns the numbers of each bar of a window, by series.
func sumBars(kinds []series, slots []history.CountSlot, w window, now time.Time, read func(history.Counts) map[string]int64) [][]int64 {
	begin, sums := w.begin(now), make([][]int64, w.bars())
	for i := range sums {
		sums[i] = make([]int64, len(kinds))
	}
	for _, slot := range slots {
		i := int(slot.At.Sub(begin) / w.step)
		if slot.At.Before(begin) || i >= len(sums) {
			continue
		}
		numbers := read(slot.Counts)
		for j, kind := range kinds {
			sums[i][j] += kind.sum(numbers, kinds)
		}
	}
	return sums
}

// addBar adds the i-th bar to the paths of the series.
func (c *chart) addBar(paths []strings.Builder, i int, sum []int64, top int64) {
	step := float64(chartWidth-chartSide) / float64(c.Window.bars())
	x, base := chartSide+float64(i)*step+step*0.1, int64(0)
	for j, n := range sum {
		if n == 0 {
			continue
		}
		low, high := yPosition(base, 0, top), yPosition(base+n, 0, top)
		high = min(high, low-1) // one event of many is seen, too
		fmt.Fprintf(&paths[j], "M%s %sh%sv%sh-%sz", short(x), short(low), short(step*0.8), short(high-low), short(step*0.8))
		base += n
	}
}

// addRow adds the numbers of a bar to the table and to what is said at the bar, unless there are none.
func (c *chart) addRow(kinds []series, i int, sum []int64, from time.Time) {
	to := from.Add(c.Window.step)
	row, words := chartRow{From: from, To: to}, []string{from.Local().Format(c.Window.long)}
	for j, n := range sum {
		cell := chartCell{N: n}
		if n > 0 {
			cell.Link = kinds[j].link(from, to)
			words = append(words, formatCount(n)+" "+kinds[j].name)
		}
		row.Cells = append(row.Cells, cell)
	}
	if len(words) == 1 {
		return
	}
	step := float64(chartWidth-chartSide) / float64(c.Window.bars())
	c.Rows = append(c.Rows, row)
	c.Hits = append(c.Hits, hit{chartSide + float64(i)*step, step, strings.Join(words, " · ")})
}

// newSizeChart draws the size of an audience; nil if there are no points.
func newSizeChart(title string, points []history.SizePoint, w window, now time.Time) *chart {
	if len(points) == 0 {
		return nil
	}
	begin := w.begin(now)
	c := &chart{Width: chartWidth, Height: chartHeight, Title: title + ", members", Window: w}
	low, high := points[0].Members, points[0].Members
	for _, p := range points {
		low, high = min(low, p.Members), max(high, p.Members)
	}
	bottom, top := int64(0), roundUpScale(int64(high))
	if room := int64(high - low); low > 0 && room < int64(low) { // otherwise a small change of a large audience cannot be seen
		half := max((room+1)/2, 1)
		bottom = max(int64(low)-half, 0)
		top = bottom + (int64(high)+half-bottom+1)/2*2
	}
	c.addGridLines(bottom, top)
	c.addTicks(now)
	span := float64(time.Duration(w.bars()) * w.step)
	var path strings.Builder
	for i, p := range points {
		x := chartSide + (chartWidth-chartSide)*max(float64(p.At.Sub(begin))/span, 0)
		y := yPosition(int64(p.Members), bottom, top)
		if i == 0 {
			fmt.Fprintf(&path, "M%s %s", short(x), short(y))
		} else {
			fmt.Fprintf(&path, "H%sV%s", short(x), short(y))
		}
		c.Rows = append(c.Rows, chartRow{From: p.At, Cells: []chartCell{{N: int64(p.Members)}}})
	}
	fmt.Fprintf(&path, "H%s", short(min(chartSide+(chartWidth-chartSide)*float64(now.Sub(begin))/span, chartWidth)))
	c.Series = []chartSeries{{Class: "line", Name: "members", Total: int64(points[len(points)-1].Members), Path: path.String()}}
	c.Summary = fmt.Sprintf("%s in the last %s: from %s to %s members, between %s and %s", title, w.Past, formatCount(points[0].Members), formatCount(points[len(points)-1].Members), formatCount(low), formatCount(high))
	return c
}

// addGridLines adds three horizontal lines and their numbers.
func (c *chart) addGridLines(bottom, top int64) {
	for part := range int64(3) {
		n := bottom + (top-bottom)*part/2
		c.Lines = append(c.Lines, gridLine{Y: yPosition(n, bottom, top), Left: chartSide, Text: formatCount(n)})
	}
}

// addTicks adds the labels of times below the plot.
func (c *chart) addTicks(now time.Time) {
	begin := c.Window.begin(now)
	span := float64(time.Duration(c.Window.bars()) * c.Window.step)
	for _, at := range c.Window.ticks(now) {
		if part := float64(at.Sub(begin)) / span; part > 0.03 && part < 0.97 { // others would be cut off
			c.Ticks = append(c.Ticks, label{chartSide + (chartWidth-chartSide)*part, at.Local().Format(c.Window.format)})
		}
	}
}

// yPosition returns the vertical position of a value, measured from the top.
func yPosition(n, bottom, top int64) float64 {
	const plot = chartHeight - chartFoot - chartHead
	return chartHead + plot - plot*float64(n-bottom)/float64(max(top-bottom, 1))
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

// short formats a coordinate.
func short(x float64) string { return strconv.FormatFloat(x, 'f', 1, 64) }

// sparkline is a small line without axes.
type sparkline struct {
	Width, Height int
	Points        string
	Summary       string // text alternative
}

// newSparkline draws numbers over time. It returns nil if the list is empty.
func newSparkline(numbers []int64, summary string) *sparkline {
	const width, height = 120, 28
	if len(numbers) == 0 {
		return nil
	}
	if len(numbers) == 1 {
		numbers = append(numbers, numbers[0])
	}
	l := &sparkline{Width: width, Height: height, Summary: summary}
	low, high := numbers[0], numbers[0]
	for _, n := range numbers {
		low, high = min(low, n), max(high, n)
	}
	points := make([]string, len(numbers))
	for i, n := range numbers {
		x, y := 2+float64(width-4)*float64(i)/float64(len(numbers)-1), float64(height)/2
		if high > low {
			y = float64(height-4) - float64(height-8)*float64(n-low)/float64(high-low)
		}
		points[i] = short(x) + "," + short(y)
	}
	l.Points = strings.Join(points, " ")
	return l
}
