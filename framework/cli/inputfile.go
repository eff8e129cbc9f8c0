package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/parquetfile"
	"github.com/landfall-dev/landfall/framework/files/s3file"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// openInput opens a file, or standard input if file is "-".
func openInput(file string, stdin io.Reader) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(stdin), nil
	}
	info, err := os.Stat(file)
	if err == nil && info.IsDir() {
		err = syscall.EISDIR
	}
	if err == nil {
		var f *os.File
		if f, err = textfile.OpenFile(file); err == nil {
			return f, nil
		}
	}
	if scheme, _, isURL := strings.Cut(file, "://"); isURL && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("URLs that begin with %s:// cannot be read here: download the file, and name that", fault.Shorten(scheme, 20)) // the URL may have a password
	}
	return nil, fmt.Errorf("%s: %s", file, fault.FileReason(err))
}

// openNamed is openInput for a file that can also be the URL of an object in S3.
func openNamed(ctx context.Context, name string, stdin io.Reader) (io.ReadCloser, error) {
	if s3file.IsURL(name) {
		return s3file.FromEnvironment(os.Getenv).Open(ctx, name)
	}
	return openInput(name, stdin)
}

// parquetInput is a Parquet file with the file that it is read from.
type parquetInput struct {
	*parquetfile.File
	file *os.File
}

// Close closes the file.
func (p parquetInput) Close() error {
	p.File.Close()
	return p.file.Close()
}

// openUsers is openNamed for a file of users, which can be a Parquet file.
func openUsers(ctx context.Context, name string, stdin io.Reader) (audiencesync.Source, error) {
	input, err := openNamed(ctx, name, stdin)
	if err != nil {
		return nil, err
	}
	if object, ok := input.(*s3file.Object); ok {
		if input, err = withoutParquet(object); err != nil {
			return nil, err
		}
	}
	file, ok := input.(*os.File)
	if !ok {
		return input, nil
	}
	begin := make([]byte, len(parquetfile.Magic))
	if _, err := file.ReadAt(begin, 0); err != nil || string(begin) != parquetfile.Magic { // a pipe, a short file, or text
		return input, nil
	}
	info, err := file.Stat()
	if err == nil {
		var users *parquetfile.File
		if users, err = parquetfile.Open(file, info.Size()); err == nil {
			return parquetInput{users, file}, nil
		}
	}
	_ = file.Close()
	return nil, fmt.Errorf("%s: %w", name, err)
}

// objectInput is an object whose first bytes were read.
type objectInput struct {
	io.Reader
	io.Closer
}

// withoutParquet returns the content of an object: a temporary file if it is Parquet, which is not read from its beginning to its end. The file has no name, so
// that it is gone when it is closed.
func withoutParquet(object *s3file.Object) (io.ReadCloser, error) {
	begin := make([]byte, len(parquetfile.Magic))
	n, err := io.ReadFull(object, begin)
	content := io.MultiReader(bytes.NewReader(begin[:n]), object)
	if string(begin[:n]) != parquetfile.Magic {
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			_ = object.Close()
			return nil, err
		}
		return objectInput{content, object}, nil
	}
	defer func() { _ = object.Close() }()
	file, err := textfile.Unnamed("landfall-parquet")
	if err != nil {
		return nil, fmt.Errorf("a temporary file for a Parquet file: %w", err)
	}
	if _, err = io.Copy(file, content); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// expandFiles returns the files that arguments name: files, folders and patterns, also of S3. Of a folder, it returns the files whose names do not begin with
// a dot or an underscore, as those of programs that write many files do not contain rows.
func expandFiles(ctx context.Context, arguments []string) (files []string, err error) {
	for _, argument := range arguments {
		if s3file.IsURL(argument) {
			objects, err := s3file.FromEnvironment(os.Getenv).Expand(ctx, argument)
			if err != nil {
				return nil, err
			}
			files = append(files, objects...)
			continue
		}
		info, statErr := os.Stat(argument)
		switch {
		case argument == "-" && len(arguments) > 1:
			return nil, usageErrorf("- stands for standard input and cannot be combined with files")
		case statErr == nil && info.IsDir():
			before := len(files)
			if files, err = appendFolder(files, argument); err != nil {
				return nil, err
			}
			if len(files) == before {
				return nil, fmt.Errorf("%s: the folder has no files", argument)
			}
		case statErr != nil && argument != "-" && strings.ContainsAny(argument, "*?["):
			matches, err := filepath.Glob(argument)
			if err != nil {
				return nil, usageErrorf("%s: the pattern cannot be read", argument)
			}
			if len(matches) == 0 {
				return nil, fmt.Errorf("%s: no file matches the pattern", argument)
			}
			files = append(files, matches...)
		default:
			files = append(files, argument)
		}
	}
	return files, nil
}

// appendFolder appends the files of a folder in the order of their names.
func appendFolder(files []string, folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", folder, fault.FileReason(err))
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(e.Name(), "_") {
			continue
		}
		files = append(files, filepath.Join(folder, e.Name()))
	}
	return files, nil
}

// readFile reads a file that was named on the command line. The error names it and says why it cannot be read.
func readFile(file string) ([]byte, error) {
	text, err := textfile.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", file, fault.FileReason(err))
	}
	return text, nil
}
