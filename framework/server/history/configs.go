package history

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/landfall-dev/landfall/framework/state"
)

// ConfigChange is a config that a server began to use, in place of the one before it.
type ConfigChange struct {
	ID      int64     `json:"-"` // of the entry
	At      time.Time `json:"at"`
	Who     string    `json:"who"`
	From    string    `json:"from,omitempty"` // an address
	How     string    `json:"how"`            // for people, such as: the file changed
	Version string    `json:"version"`        // identifies the instances with everything that their deliveries depend on
	Text    string    `json:"text,omitempty"` // of the file, without secrets; "" if it is too long
	Added   int       `json:"added"`          // lines
	Removed int       `json:"removed"`
}

// By says who made the change, for people.
func (c ConfigChange) By() string { return (&Action{Who: c.Who, From: c.From}).By() }

const (
	kindConfig      = "config"
	maxConfigText   = 1 << 20
	configRetention = 365 * 24 * time.Hour
)

// AddConfigChange records that a server uses a config, unless neither its text nor its version differs from the one before.
func AddConfigChange(ctx context.Context, store *state.Store, c ConfigChange) error {
	if len(c.Text) > maxConfigText {
		c.Text = ""
	}
	last, err := ConfigChanges(ctx, store, 1)
	if err != nil {
		return err
	}
	before := ""
	if len(last) > 0 {
		if before = last[0].Text; before == c.Text && last[0].Version == c.Version {
			return nil
		}
	}
	c.Added, c.Removed = countLines(before, c.Text)
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return store.AppendJournal(ctx, []state.JournalEntry{{Kind: kindConfig, At: c.At, Data: string(text)}})
}

// countLines returns how many lines a change adds and removes.
func countLines(from, to string) (added, removed int) {
	for line := range strings.Lines(string(diff.Diff("a", []byte(from), "a", []byte(to)))) {
		switch {
		case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "):
		case line[0] == '+':
			added++
		case line[0] == '-':
			removed++
		}
	}
	return added, removed
}

// ConfigChanges returns the changes of the config that are kept, newest first and at most limit of them; 0 for all.
func ConfigChanges(ctx context.Context, store *state.Store, limit int) (list []ConfigChange, err error) {
	err = store.Journal(ctx, state.JournalQuery{Kinds: []string{kindConfig}, Limit: limit}, func(e state.JournalEntry) bool {
		c := ConfigChange{}
		if json.Unmarshal([]byte(e.Data), &c) == nil {
			c.ID = e.ID
			list = append(list, c)
		}
		return true
	})
	return list, err
}
