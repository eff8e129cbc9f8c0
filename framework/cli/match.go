package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/internal/textfile"
)

func newMatch(s streams) *cobra.Command {
	var query string
	var invert bool
	cmd := &cobra.Command{
		Use:   "match --fql QUERY",
		Short: "Filter events with a query",
		Long:  "Reads events from standard input, one JSON object per line, and prints the matching ones unchanged.",
		Example: "  landfall match --fql 'event = \"Audience Entered\"' < events.ndjson\n" +
			"  landfall match --invert --fql 'userId != null' < events.ndjson | head",
		Args: exactArgs(0, "the events on standard input and no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if query == "" {
				return usageErrorf("give a query with --fql")
			}
			q, err := fql.Compile(query)
			if err != nil {
				return usageErrorf("the query has a mistake\n%v", err)
			}
			return eachEvent(s, func(raw []byte, e event.Event, out *bufio.Writer) error {
				if q.Match(e.Value()) == invert {
					return nil
				}
				_, err := fmt.Fprintf(out, "%s\n", raw)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&query, "fql", "", "the `QUERY`")
	cmd.Flags().BoolVarP(&invert, "invert", "v", false, "print the events that do not match")
	return cmd
}

// eachEvent calls do for every event on standard input. If a line is not an event, or do fails on it, eachEvent reports the line number,
// continues with the next line, and returns failed at the end.
func eachEvent(s streams, do func(raw []byte, e event.Event, out *bufio.Writer) error) error {
	lines := textfile.NewLongLines(textfile.NewReader(s.in), event.MaxBytes)
	out := bufio.NewWriter(s.out)
	wrong := 0
	var reading error
	for {
		line, err := lines.Next()
		if err != nil {
			reading = err
			break
		}
		if err := doLine(line, out, do); err != nil {
			wrong++
			fmt.Fprintf(s.err, "line %d: %v\n", line.Number, err)
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if !errors.Is(reading, io.EOF) {
		return fmt.Errorf("reading standard input: line %d: %w", lines.Number()+1, reading)
	}
	if wrong > 0 {
		return reportedError{}
	}
	return nil
}

// doLine calls do for the event of a line. It skips a blank line.
func doLine(line textfile.Line, out *bufio.Writer, do func(raw []byte, e event.Event, out *bufio.Writer) error) error {
	if line.TooLong {
		return fmt.Errorf("the line is longer than the %d MB that an event may have", event.MaxBytes>>20)
	}
	raw := []byte(line.Text)
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	if !utf8.Valid(raw) {
		return errNotUTF8
	}
	e, err := event.Parse(raw)
	if err != nil {
		return err
	}
	return do(raw, e, out)
}
