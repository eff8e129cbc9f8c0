package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// Files are the files on this machine in which a Log stores its streams.
type Files interface {
	// Salvage repairs the files and keeps copies of the damaged ones. No Log may use the files.
	Salvage(ctx context.Context) ([]FileDamage, error)
	// Check returns the damaged files and changes nothing. It sleeps for rest after each file, to leave the disk to others.
	Check(ctx context.Context, rest time.Duration) ([]FileDamage, error)
	// CopyDamaged copies a damaged file. It returns the path of the copy, or the reason why there is none.
	CopyDamaged(d FileDamage) (path, reason string)
	// EraseCopies deletes the copies of damaged files of streams in which has finds something to erase. It returns how many there were.
	EraseCopies(has func(stream string, content []byte) bool) (deleted int, err error)
}

// FileDamage is a damaged file of a stream.
type FileDamage struct {
	Stream       string `json:"stream"`
	File         string `json:"file"`
	Torn         bool   `json:"torn,omitempty"`  // only the end of an interrupted write: nothing acknowledged is lost
	Lost         int    `json:"lost"`            // number of places with damaged records
	Repaired     int    `json:"fixed,omitempty"` // records repaired without loss
	First        uint64 `json:"first,omitempty"` // lost sequences lie between First and Last; 0 if unknown
	Last         uint64 `json:"last,omitempty"`
	CopyPath     string `json:"kept,omitempty"`    // path of the copy of the damaged file
	NoCopyReason string `json:"notKept,omitempty"` // why there is no copy
}

// String describes the damage for a log.
func (f FileDamage) String() string {
	where := f.Stream + "/" + f.File
	switch {
	case f.Torn:
		return where + " ends in an interrupted write"
	case f.Lost == 0:
		return fmt.Sprintf("%s had %s, repaired without loss", where, fault.Count(f.Repaired, "damaged record"))
	case f.Last > 0 && f.First == 0:
		return fmt.Sprintf("%s is damaged in %s: records up to sequence %d are lost", where, fault.Count(f.Lost, "place"), f.Last)
	case f.Last > 0:
		return fmt.Sprintf("%s is damaged in %s: records between sequences %d and %d are lost", where, fault.Count(f.Lost, "place"), f.First, f.Last)
	}
	return fmt.Sprintf("%s is damaged in %s: records are lost", where, fault.Count(f.Lost, "place"))
}
