package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/fault"
)

// targetKey is the key that a ledger's target is stored under, among the instance's values. Handlers must not use it.
const targetKey = "landfall:target"

// Target identifies what a ledger describes: a destination with the settings that identify the remote system, or a sandbox of it. It
// contains no secrets.
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

// TargetError means that the ledger's data belongs to another target than the configured one.
type TargetError struct {
	Instance             string
	Recorded, Configured Target
}

// Error describes the difference and names the command that accepts the new target.
func (e *TargetError) Error() string {
	return fmt.Sprintf("the ledger of %q records what was sent to %s, not to %s: `landfall state retarget %s` keeps it for the new remote, with --forget it starts empty",
		e.Instance, e.Recorded, e.Configured, e.Instance)
}

// Setting returns the setting that has changed; "" if the destination has changed.
func (e *TargetError) Setting() string {
	if e.Recorded.Destination != e.Configured.Destination {
		return ""
	}
	for _, key := range slices.Sorted(maps.Keys(e.Configured.Remote)) {
		if e.Recorded.Remote[key] != e.Configured.Remote[key] {
			return key
		}
	}
	return ""
}

// Target returns the ledger's recorded target; ok is false if it has none yet.
func (l *Ledger) Target(ctx context.Context) (t Target, ok bool, err error) {
	text, ok, err := l.Get(ctx, targetKey)
	if err != nil || !ok {
		return t, false, err
	}
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return t, false, fmt.Errorf("the recorded target of the ledger of %s is unreadable: set it again with landfall state retarget", fromSQL.Replace(l.instance))
	}
	return t, true, nil
}

// CheckTarget returns a *TargetError if the ledger has another target and is not empty.
func (l *Ledger) CheckTarget(ctx context.Context, want Target) error {
	recorded, ok, err := l.Target(ctx)
	if err != nil || !ok || recorded.Equal(want) {
		return err
	}
	if content, err := l.Content(ctx); err != nil || content.Empty() {
		return err
	}
	return &TargetError{Instance: fromSQL.Replace(l.instance), Recorded: recorded, Configured: want}
}

// Claim records a target in the ledger. If the ledger has data for another target, the error is a *TargetError and nothing changes.
// adopted reports whether the ledger had data but no target yet, as ledgers of earlier versions do.
func (l *Ledger) Claim(ctx context.Context, want Target) (adopted bool, err error) {
	recorded, ok, err := l.Target(ctx)
	if err != nil || ok && recorded.Equal(want) {
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
		old = recorded.toJSON() // the ledger is empty, so its target can be replaced
	}
	swapped, err := l.Swap(ctx, targetKey, old, want.toJSON())
	if err == nil && !swapped { // another process was first
		err = l.CheckTarget(ctx, want)
	}
	return swapped && !ok && !content.Empty(), err
}

// Retarget records a target in the ledger, whatever target it had before.
func (l *Ledger) Retarget(ctx context.Context, to Target) error {
	return l.Put(ctx, targetKey, to.toJSON())
}

// toJSON returns the target as it is stored.
func (t Target) toJSON() string {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // cannot happen: it contains only strings
	}
	return string(text)
}

// Content says how much data an instance has.
type Content struct {
	Audiences int  `json:"audiences"`
	Members   int  `json:"members"`
	Values    int  `json:"values"` // key-value pairs of handlers
	Token     bool `json:"token"`
}

// Empty reports whether the instance has no data.
func (c Content) Empty() bool { return c == Content{} }

// String describes the content for people.
func (c Content) String() string {
	text := fmt.Sprintf("%s in %s, %s", fault.Count(c.Members, "member"), fault.Count(c.Audiences, "audience"), fault.Count(c.Values, "other value"))
	if c.Token {
		text += ", an OAuth token"
	}
	return text
}

// Content counts the data of the instance.
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

// Instances returns the sorted ids of all instances that have rows in the database.
func (s *Store) Instances(ctx context.Context) ([]string, error) {
	var ids []string
	err := eachRow(ctx, s.db, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, fromSQL.Replace(id))
		return err
	}, `SELECT instance FROM audiences UNION SELECT instance FROM state UNION SELECT instance FROM tokens`)
	if err != nil {
		return nil, fault.StateUnavailable("reading the ledger", err)
	}
	slices.SortFunc(ids, strings.Compare)
	return ids, nil
}
