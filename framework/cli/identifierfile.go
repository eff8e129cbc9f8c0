package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/internal/textfile"
)

var errNotUTF8 = errors.New("the line is not valid UTF-8: save the file as UTF-8")

// eachLine calls do for each line of a text file that is not blank. The error has the file and the line.
func eachLine(file string, stdin io.Reader, do func(line string, number int) error) error {
	in, err := openInput(file, stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	lines := textfile.NewLines(textfile.NewReader(in))
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		switch {
		case err != nil:
			return fmt.Errorf("%s:%d: %w", file, lines.Number()+1, err)
		case line.TooLong:
			err = fmt.Errorf("the line is longer than %d MB", textfile.MaxLine>>20)
		case !utf8.ValidString(line.Text):
			err = errNotUTF8
		case strings.Contains(line.Text, "\x00"):
			err = errors.New("the line has a NUL byte: the file is damaged, or in another encoding; save it as UTF-8")
		case strings.TrimSpace(line.Text) != "":
			err = do(line.Text, line.Number)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", file, line.Number, err)
		}
	}
}

// readIdentifierLines returns the identifiers in each line of a file that has some. The names of columns and the end of a report are refused:
// they would be taken for users.
func readIdentifierLines(file string, stdin io.Reader) (lines [][]string, err error) {
	at := 0 // of the last line
	err = eachLine(file, stdin, func(line string, number int) error {
		identifiers, err := splitIdentifiers(line)
		if err != nil || len(identifiers) == 0 {
			return err
		}
		if name := identifiers[0]; len(lines) == 0 && (audiencesync.IsColumnName(name, nil) || strings.EqualFold(name, "sep=")) {
			return fmt.Errorf("%q is the name of a column, and not a user: remove the line, and leave only columns with identifiers", name)
		}
		at = number
		lines = append(lines, identifiers)
		return audiencesync.CheckFooter(identifiers, false)
	})
	if err == nil && len(lines) > 0 {
		if err = audiencesync.CheckFooter(lines[len(lines)-1], true); err != nil {
			err = fmt.Errorf("%s:%d: %w", file, at, err)
		}
	}
	return lines, err
}

// quotedText is a field in quotes.
var quotedText = regexp.MustCompile(`"(?:[^"]|"")*"`)

// splitIdentifiers returns the fields of a line of CSV that are not empty. Other delimiters than commas are refused: the line would be taken
// for one identifier, which no user has.
func splitIdentifiers(line string) (list []string, err error) {
	if strings.ContainsAny(quotedText.ReplaceAllString(strings.TrimSpace(line), ""), ";\t") {
		return nil, errors.New("the line has a semicolon or a tab: put commas between identifiers, and an identifier with a semicolon in quotes")
	}
	row := csv.NewReader(strings.NewReader(line))
	row.TrimLeadingSpace = true
	fields, err := row.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(`a quote (") is not closed, or is inside of a field: put the whole field in quotes and write the quote twice`)
	}
	for _, field := range fields {
		if field = audiencesync.CleanIdentifier(field); field == "" {
			continue
		}
		if err := audiencesync.CheckIdentifier(field); err != nil {
			return nil, fmt.Errorf("an identifier %w", err)
		}
		list = append(list, field)
	}
	return list, nil
}
