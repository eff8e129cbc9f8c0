package httpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/landfall-dev/landfall/internal/textfile"
)

// Limits of a response in a file.
const (
	maxFile     = 2 << 30          // bytes
	fileTimeout = 10 * time.Minute // from sending the request to the end of the answer
)

type inFileKey struct{}

// InFile returns a context whose requests may have answers that are larger than the memory allows, such as the members of an audience. The body
// of a response with a 2xx status is then a file without a name, which the caller must close. It is complete, and not part of an Exchange.
func InFile(ctx context.Context) context.Context { return context.WithValue(ctx, inFileKey{}, true) }

func isInFile(ctx context.Context) bool { return ctx.Value(inFileKey{}) != nil }

// saveBody writes the body of a response to a file.
func saveBody(response *http.Response, most int64) error {
	if response.Body == nil {
		response.Body = http.NoBody
	}
	defer response.Body.Close()
	file, err := textfile.Unnamed("landfall-answer")
	if err != nil {
		return fmt.Errorf("creating a file for the answer: %w", err)
	}
	if err = copyBounded(file, response.Body, most); err == nil {
		response.Body = file
		return nil
	}
	_ = file.Close()
	if errors.Is(err, errTooLarge) {
		return tooLargeError(response, most)
	}
	return fmt.Errorf("reading the answer: %w", err)
}

// copyBounded copies a body to the start of a file. It returns errTooLarge if it is longer than most bytes.
func copyBounded(file *os.File, body io.Reader, most int64) error {
	n, err := io.Copy(file, io.LimitReader(body, most+1))
	if err == nil && n > most {
		err = errTooLarge
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	return err
}
