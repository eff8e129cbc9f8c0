package state

import (
	"context"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
)

// storeOperations are the calls that work on the state as a whole, or on what is not a ledger. They need what fillStore adds.
func storeOperations(s *Store) map[string]func(context.Context) error {
	hasUser := func(text string) bool { return strings.Contains(text, "u1") }
	return map[string]func(context.Context) error{
		"append journal": func(ctx context.Context) error {
			return s.AppendJournal(ctx, []JournalEntry{{Kind: "a", At: second(1), Data: "of u1"}, {Kind: "b", At: second(2), Data: "of u2"}})
		},
		"journal": func(ctx context.Context) error {
			return s.Journal(ctx, JournalQuery{Kinds: []string{"a"}}, func(JournalEntry) bool { return true })
		},
		"journal of events": func(ctx context.Context) error {
			return s.Journal(ctx, JournalQuery{Kinds: []string{"a", "b"}, Seqs: []uint64{1}}, func(JournalEntry) bool { return true })
		},
		"rewrite journal": func(ctx context.Context) error {
			_, err := s.RewriteJournal(ctx, func(e JournalEntry) (string, bool) { return "rewritten", !hasUser(e.Data) })
			return err
		},
		"newest entry": func(ctx context.Context) error { _, err := s.NewestEntry(ctx); return err },
		"trim journal": func(ctx context.Context) error { return s.TrimJournal(ctx, "a", second(2), time.Second, 1) },
		"trim history": func(ctx context.Context) error { _, err := s.TrimHistory(ctx, second(1)); return err },
		"suppress": func(ctx context.Context) error {
			_, err := s.AddSuppressed(ctx, []Suppressed{{Hash: "h2", Key: "k", At: second(1)}})
			return err
		},
		"release":          func(ctx context.Context) error { _, err := s.RemoveSuppressed(ctx, []string{"h1"}); return err },
		"suppressed":       func(ctx context.Context) error { _, err := s.Suppressed(ctx); return err },
		"suppressed since": func(ctx context.Context) error { _, err := s.SuppressedVersion(ctx); return err },
		"put secret":       func(ctx context.Context) error { return s.PutSecret(ctx, "main/key", "sealed") },
		"secret":           func(ctx context.Context) error { _, err := s.Secret(ctx, "main/key"); return err },
		"delete secret":    func(ctx context.Context) error { return s.DeleteSecret(ctx, "main/key") },
		"token":            func(ctx context.Context) error { _, err := s.Tokens().Get(ctx, "main"); return err },
		"add erasures": func(ctx context.Context) error {
			_, err := s.AddErasures(ctx, []Erasure{{ID: "e2", At: second(1)}}, 1000)
			return err
		},
		"update erasure": func(ctx context.Context) error {
			return s.UpdateErasure(ctx, Erasure{ID: "e1", At: second(1)})
		},
		"erasures":       func(ctx context.Context) error { _, err := s.LatestErasures(ctx, 10); return err },
		"erasure":        func(ctx context.Context) error { _, _, err := s.ErasureByID(ctx, "e1"); return err },
		"erasures since": func(ctx context.Context) error { _, err := s.ErasuresVersion(ctx); return err },
		"trim erasures":  func(ctx context.Context) error { return s.TrimErasures(ctx, second(0)) },
		"scrub":          s.Scrub,
		"erase members":  func(ctx context.Context) error { return s.EraseMembers(ctx, hasUser, func(ErasedMember) {}) },
		"erase values": func(ctx context.Context) error {
			_, err := s.EraseValues(ctx, func(text string) bool { return text == "v" })
			return err
		},
		"hold erasures":  func(ctx context.Context) error { _, err := s.HoldErasures(ctx, "me", time.Minute); return err },
		"leave erasures": func(ctx context.Context) error { return s.ReleaseErasures(ctx, "me") },
	}
}

// fillStore adds what storeOperations work on.
func fillStore(ctx context.Context, s *Store) error {
	operations := storeOperations(s)
	for _, name := range []string{"append journal", "put secret", "suppress"} {
		if err := operations[name](ctx); err != nil {
			return err
		}
	}
	if _, err := s.AddErasures(ctx, []Erasure{{ID: "e1", At: second(1)}}, 1000); err != nil {
		return err
	}
	return s.Tokens().Update(ctx, "main", func(context.Context, oauth.Record) (oauth.Record, error) { return oauth.Record{Sealed: "sealed"}, nil })
}
