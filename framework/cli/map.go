package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

func newMap(s streams) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "map -m FILE",
		Short: "Turn events into payloads with a mapping",
		Long:  "Reads events from standard input, one JSON object per line, and prints the payload that the mapping makes of each.",
		Example: "  landfall map -m mapping.json < events.ndjson\n" +
			"  landfall match --fql 'type = \"track\"' < events.ndjson | landfall map -m mapping.yaml",
		Args: exactArgs(0, "the events on standard input and no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if file == "" {
				return usageErrorf("give a mapping file with -m")
			}
			m, err := loadMapping(s, file)
			if err != nil {
				return err
			}
			return eachEvent(s, func(_ []byte, e event.Event, out *bufio.Writer) error {
				payload, err := m.Resolve(e.Value())
				if err != nil {
					return err
				}
				if payload.Kind() == event.Absent {
					payload = event.NewNull()
				}
				_, err = fmt.Fprintf(out, "%s\n", payload.JSON())
				return err
			})
		},
	}
	cmd.Flags().StringVarP(&file, "mapping", "m", "", "the mapping `FILE`, JSON or YAML")
	return cmd
}

// loadMapping reads and compiles a mapping file, and prints its warnings. The error has every mistake with its place.
func loadMapping(s streams, file string) (*mapping.Mapping, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, usageErrorf("%v", err)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("%s: is empty: write a mapping as JSON or YAML", file)
	}
	doc, err := yamldoc.Parse(file, text)
	if err != nil {
		return nil, err
	}
	m, err := mapping.Compile(doc.Value())
	var problems fault.Problems
	if errors.As(err, &problems) {
		return nil, doc.Locate(problems)
	}
	if err != nil {
		return nil, err
	}
	for _, w := range doc.Locate(m.Warnings()) {
		s.warn(w.String())
	}
	return m, nil
}
