package logfiles

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/landfall-dev/landfall/internal/textfile"
)

// fileStamp is the size and time of a file, by which an unchanged file is recognized.
type fileStamp struct {
	Size     int64 `json:"size"`
	Modified int64 `json:"modified"` // nanoseconds since 1970
}

func stampOf(path string) (fileStamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}, err
	}
	return fileStamp{info.Size(), info.ModTime().UnixNano()}, nil
}

// Stamps are the stamps of a queue's files after an orderly stop of the server, by stream and file.
type Stamps map[string]fileStamp

func (s Stamps) isUnchanged(stream string, b block) bool {
	known, ok := s[stream+"/"+strconv.Itoa(b.number)+blockSuffix]
	return ok && known == b.stamp
}

// stampsFile is the file with the Stamps, in the queue's directory. It exists only while no server runs.
const stampsFile = "stopped.json"

// WriteStamps stores the stamps of a queue's files after an orderly stop of the server.
func WriteStamps(dir string) error {
	streams, err := openStreams(dir)
	if err != nil {
		return err
	}
	stamps := Stamps{}
	for _, s := range streams {
		index, err := stampOf(filepath.Join(s.dir, indexFile))
		if err != nil {
			continue // the server will read all blocks
		}
		stamps[s.name+"/"+indexFile] = index
		for _, b := range s.blocks {
			stamps[s.name+"/"+filepath.Base(b.path)] = b.stamp
		}
	}
	text, err := json.Marshal(stamps)
	if err != nil {
		return err
	}
	return textfile.Replace(filepath.Join(dir, stampsFile), text, 0o600)
}

// TakeStamps reads and deletes the stored Stamps, so that they are gone after a crash. Streams whose index has changed are
// omitted, because the server reads all their blocks.
func TakeStamps(dir string) (Stamps, error) {
	known, err := readStamps(dir)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(dir, stampsFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return known, nil
}

func readStamps(dir string) (Stamps, error) {
	text, err := os.ReadFile(filepath.Join(dir, stampsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var known Stamps
	if json.Unmarshal(text, &known) != nil {
		return nil, nil // all blocks are scanned
	}
	streams, err := openStreams(dir)
	if err != nil {
		return nil, err
	}
	for _, s := range streams {
		was, ok := known[s.name+"/"+indexFile]
		now, err := stampOf(filepath.Join(s.dir, indexFile))
		if ok && err == nil && now == was && len(s.blocks) == known.countBlocks(s.name) {
			continue
		}
		known.forgetStream(s.name)
	}
	return known, nil
}

// countBlocks returns the number of blocks of a stream.
func (s Stamps) countBlocks(stream string) (n int) {
	for name := range s {
		if filepath.Dir(name) == stream && filepath.Ext(name) == blockSuffix {
			n++
		}
	}
	return n
}

func (s Stamps) forgetStream(stream string) {
	for name := range s {
		if filepath.Dir(name) == stream {
			delete(s, name)
		}
	}
}
