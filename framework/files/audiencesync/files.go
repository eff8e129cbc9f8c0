package audiencesync

import (
	"fmt"
	"io"
	"slices"
)

// Source is an open file of users: an io.Reader of CSV or NDJSON, or a [Table].
type Source interface{ io.Closer }

// Input is one of several files of users.
type Input struct {
	Name string // in messages
	Open func() (Source, error)
}

// OpenSource is OpenRows for a Source. The caller closes the Source.
func OpenSource(source Source, o Options) (*Rows, error) {
	switch s := source.(type) {
	case Table:
		return openTable(s, o, sourceWords{"the file", "row"}, nil)
	case io.Reader:
		return OpenRows(s, o)
	}
	return nil, fmt.Errorf("a file of users cannot be read from a %T", source)
}

// inputs are the files of Rows, one after the other.
type inputs struct {
	current string // "" if there is one file only
	file    io.Closer
	waiting []Input
	options Options
}

// OpenFiles is OpenRows for several files, whose rows follow each other. Each has a header and a format of its own. A file is opened when it is
// reached; if it cannot be used, Next returns an error that ends the rows. The caller closes the Rows.
func OpenFiles(files []Input, o Options) (*Rows, error) {
	r := &Rows{inputs: inputs{waiting: files, options: o}}
	if err := r.openNext(); err != nil {
		return nil, err
	}
	return r, nil
}

// openNext continues with the next file.
func (r *Rows) openNext() error {
	input, rest := r.inputs.waiting[0], r.inputs.waiting[1:]
	file, err := input.Open()
	if err != nil {
		return err
	}
	next, err := OpenSource(file, r.inputs.options)
	if err != nil {
		_ = file.Close()
		return fmt.Errorf("%s: %w", input.Name, err)
	}
	r.Close()
	ignored, dropped := next.warnings.ignored, next.warnings.properties.dropped
	next.warnings, next.inputs = r.warnings, inputs{input.Name, file, rest, r.inputs.options}
	*r = *next
	r.addIgnored(ignored...)
	for _, name := range dropped {
		if w := &r.warnings.properties; !slices.Contains(w.dropped, name) {
			w.dropped = append(w.dropped, name)
		}
	}
	return nil
}

// Close closes the file that is being read, if OpenFiles has opened it.
func (r *Rows) Close() {
	if r.inputs.file != nil {
		_ = r.inputs.file.Close()
	}
}

// Next reads the next row. The error is a *RowError if only this row is unreadable, io.EOF at the end of the last file, and any other error
// if the rest is unreadable.
func (r *Rows) Next() error {
	for {
		err := r.nextOfFile()
		if err == nil && !r.isSelected() {
			continue
		}
		if !isEnd(err) || len(r.inputs.waiting) == 0 {
			return err
		}
		if err := r.openNext(); err != nil {
			return err
		}
	}
}
