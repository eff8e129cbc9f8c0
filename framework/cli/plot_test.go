package cli

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// plot is a line through points, drawn as SVG. The x axis is logarithmic, and the y axis begins at 0. A band shows 15 % around the first
// point.
type plot struct {
	title, x, y string
	points      []point
}

type point struct{ x, y float64 }

// Sizes of a plot, in pixels.
const (
	plotWidth, plotHeight       = 520.0, 300.0
	plotLeft, plotRight         = 60.0, 490.0
	plotTop, plotBottom         = 50.0, 240.0
	bandOfTolerance             = 0.15
	plotBackground, plotStrokes = "#ffffff", "#1f5fbf"
)

// svg draws the plot. It needs at least one point with an x of at least 1.
func (p plot) svg() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="12" fill="#222222">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<title>%s by %s</title><rect width="100%%" height="100%%" fill="%s"/>`+"\n", p.title, p.x, plotBackground)
	fmt.Fprintf(&b, `<text x="%.0f" y="24" font-size="15">%s</text><text x="%.0f" y="40">%s</text>`+"\n", plotLeft, p.title, plotLeft, p.y)
	top, bottom := p.height(p.points[0].y*(1+bandOfTolerance)), p.height(p.points[0].y*(1-bandOfTolerance))
	fmt.Fprintf(&b, `<rect x="%.0f" y="%.1f" width="%.0f" height="%.1f" fill="#dfe8f5"/>`+"\n", plotLeft, top, plotRight-plotLeft, bottom-top)
	fmt.Fprintf(&b, `<path d="M%.0f %.0fV%.0fH%.0f" fill="none" stroke="#888888"/>`+"\n", plotLeft, plotTop, plotBottom, plotRight)
	fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, plotStrokes)
	for _, at := range p.points {
		fmt.Fprintf(&b, "%.1f,%.1f ", p.across(at.x), p.height(at.y))
	}
	b.WriteString(`"/>` + "\n")
	for _, at := range p.points {
		x, y := p.across(at.x), p.height(at.y)
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/><text x="%.1f" y="%.1f" text-anchor="middle">%.1f</text>`, x, y, plotStrokes, x, y-8, at.y)
		fmt.Fprintf(&b, `<text x="%.1f" y="%.0f" text-anchor="middle">%s</text>`+"\n", x, plotBottom+18, shortNumber(at.x))
	}
	fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" text-anchor="middle">%s</text>`+"\n</svg>\n", (plotLeft+plotRight)/2, plotBottom+42, p.x)
	return b.Bytes()
}

// across and height return the position of a value.
func (p plot) across(x float64) float64 {
	first, last := p.points[0].x, p.points[len(p.points)-1].x
	if first == last {
		return (plotLeft + plotRight) / 2
	}
	const margin = 20
	return plotLeft + margin + (plotRight-plotLeft-2*margin)*math.Log(x/first)/math.Log(last/first)
}

func (p plot) height(y float64) float64 {
	highest := p.points[0].y * (1 + bandOfTolerance)
	for _, at := range p.points {
		highest = max(highest, at.y)
	}
	return plotBottom - (plotBottom-plotTop)*y/(1.15*highest)
}

// shortNumber writes 10,000 as 10k.
func shortNumber(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%gM", n/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%gk", n/1e3)
	}
	return fmt.Sprintf("%g", n)
}

func TestPlot(t *testing.T) {
	p := plot{title: "A", x: "b", y: "c", points: []point{{1, 10}, {100, 10}, {10_000, 20}}}
	var parsed struct {
		Line struct {
			Points string `xml:"points,attr"`
		} `xml:"polyline"`
		Texts []string `xml:"text"`
	}
	require.NoError(t, xml.Unmarshal(p.svg(), &parsed))
	assert.Equal(t, []string{"A", "c", "10.0", "1", "10.0", "100", "20.0", "10k", "b"}, parsed.Texts)
	assert.Equal(t, "80.0,157.4 275.0,157.4 470.0,74.8 ", parsed.Line.Points, "equal figures are level, and powers equally far apart")
}
