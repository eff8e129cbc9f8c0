package state

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/fault"
)

// targetKey is the key of a ledger's target among the values of its instance. Handlers use other keys.
const targetKey = "landfall:target"

// Target says whose members a ledger holds: a destination at a remote, or a sandbox of it. It holds no secrets.
type Target struct {
	Sandbox     string            `json:"sandbox,omitempty"` // as SandboxName returns it
	Destination string            `json:"destination"`       // its slug
	Remote      map[string]string `json:"remote,omitempty"`  // the settings that identify the remote
}

// Equal reports whether two targets are the same.
func (t Target) Equal(o Target) bool {
	return t.Sandbox == o.Sandbox && t.Destination == o.Destination && maps.Equal(t.Remote, o.Remote)
}

// String describes the target for people.
func (t Target) String() string {
	text := t.Destination
	for _, key := range slices.Sorted(maps.Keys(t.Remote)) {
		text += ", " + key + " " + t.Remote[key]
	}
	if t.Sandbox != "" {
		text += " (" + t.Sandbox + ")"
	}
	return text
}

// TargetError says that a ledger holds the members of another target than the one that is to be sent to.
type TargetError struct {
	Instance  string
	Was, Want Target
}

// Error says what does not fit, and the command that accepts it.
func (e *TargetError) Error() string {
	return fmt.Sprintf("the ledger of %q records what was sent to %s, not to %s: `landfall state retarget %s` keeps it for the new remote, with --forget it starts empty",
		e.Instance, e.Was, e.Want, e.Instance)
}

// Setting returns the setting that has changed, "" if another part of the target has.
func (e *TargetError) Setting() string {
	if e.Was.Destination != e.Want.Destination {
		return ""
	}
	for _, key := range slices.Sorted(maps.Keys(e.Want.Remote)) {
		if e.Was.Remote[key] != e.Want.Remote[key] {
			return key
		}
	}
	return ""
}

// Target returns the target that the ledger is marked with; ok is false if it has none yet.
func (l *Ledger) Target(ctx context.Context) (t Target, ok bool, err error) {
	text, ok, err := l.Get(ctx, targetKey)
	if err != nil || !ok {
		return t, false, err
	}
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return t, false, fmt.Errorf("the target that is kept for the ledger of %s cannot be read: set it again with landfall state retarget", fromSQL.Replace(l.instance))
	}
	return t, true, nil
}

// CheckTarget returns a *TargetError if the ledger is marked with another target and holds something.
func (l *Ledger) CheckTarget(ctx context.Context, want Target) error {
	was, ok, err := l.Target(ctx)
	if err != nil || !ok || was.Equal(want) {
		return err
	}
	if content, err := l.Content(ctx); err != nil || content.Empty() {
		return err
	}
	return &TargetError{Instance: fromSQL.Replace(l.instance), Was: was, Want: want}
}

// Claim marks the ledger with a target. If it has another one, the error is a *TargetError and nothing changes. It reports adopted if
// the ledger held something before it was marked, as that of an earlier version does.
func (l *Ledger) Claim(ctx context.Context, want Target) (adopted bool, err error) {
	was, ok, err := l.Target(ctx)
	if err != nil || ok && was.Equal(want) {
		return false, err
	}
	content, err := l.Content(ctx)
	if err != nil {
		return false, err
	}
	old := ""
	if ok {
		if err := l.CheckTarget(ctx, want); err != nil {
			return false, err
		}
		old = was.text() // of a ledger that has stayed empty
	}
	set, err := l.Swap(ctx, targetKey, old, want.text())
	if err == nil && !set { // another process was first
		err = l.CheckTarget(ctx, want)
	}
	return set && !ok && !content.Empty(), err
}

// Retarget marks the ledger with a target, whatever it had before.
func (l *Ledger) Retarget(ctx context.Context, to Target) error {
	return l.Put(ctx, targetKey, to.text())
}

func (t Target) text() string {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // it holds strings only
	}
	return string(text)
}

// Content is how much is kept for an instance.
type Content struct {
	Audiences int  `json:"audiences"`
	Members   int  `json:"members"`
	Values    int  `json:"values"` // what handlers remember
	Token     bool `json:"token"`
}

// Empty reports whether nothing is kept.
func (c Content) Empty() bool { return c == Content{} }

// String describes the content for people.
func (c Content) String() string {
	text := fmt.Sprintf("%d members in %d audiences, %d other values", c.Members, c.Audiences, c.Values)
	if c.Token {
		text += ", an OAuth token"
	}
	return text
}

// Content counts what is kept for the instance.
func (l *Ledger) Content(ctx context.Context) (c Content, err error) {
	var tokens int
	err = l.store.db.QueryRowContext(ctx, `SELECT
		(SELECT COUNT(*) FROM audiences WHERE instance = $1), (SELECT CAST(COALESCE(SUM(members), 0) AS BIGINT) FROM audiences WHERE instance = $1),
		(SELECT COUNT(*) FROM state WHERE instance = $1 AND key <> $2), (SELECT COUNT(*) FROM tokens WHERE instance = $1 AND sealed <> '')`,
		l.instance, targetKey).Scan(&c.Audiences, &c.Members, &c.Values, &tokens)
	c.Token = tokens > 0
	if err != nil {
		return c, fault.StateUnavailable("reading the ledger", err)
	}
	return c, nil
}

// Instances returns the ids of the instances for which something is kept, sorted.
func (s *Store) Instances(ctx context.Context) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT instance FROM audiences UNION SELECT instance FROM state UNION SELECT instance FROM tokens`)
	if err != nil {
		return nil, fault.StateUnavailable("reading the ledger", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fault.StateUnavailable("reading the ledger", err)
		}
		ids = append(ids, fromSQL.Replace(id))
	}
	slices.SortFunc(ids, strings.Compare)
	return ids, rows.Err()
}
