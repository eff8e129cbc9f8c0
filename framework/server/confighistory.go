package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// configAuthors remembers who wrote the config with the console, until the server uses it. It is safe for concurrent use.
type configAuthors struct {
	mu   sync.Mutex
	sum  [sha256.Size]byte // of the text that was written last
	who  access.Actor
	how  string
	made bool
}

// noteWrite remembers who wrote a text to the config file, and how.
func (a *configAuthors) noteWrite(ctx context.Context, text []byte, how string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sum, a.who, a.how, a.made = sha256.Sum256(text), access.ActorOf(ctx), how, true
}

// authorOf returns who wrote a text with the console, and how; false if the console did not write it.
func (a *configAuthors) authorOf(text []byte) (access.Actor, string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.who, a.how, a.made && a.sum == sha256.Sum256(text)
}

// recordConfig writes to the history that the server uses a config, unless it is the one that was used last.
func (v *server) recordConfig(ctx context.Context, cfg *config.Config, all []instances.Instance) {
	sum := sha256.New()
	for i := range all {
		sum.Write([]byte(all[i].Plan.ID() + all[i].ConfigVersion()))
	}
	c := history.ConfigChange{At: time.Now(), Version: hex.EncodeToString(sum.Sum(nil)[:8])}
	who, how, written := v.authors.authorOf(cfg.Text())
	switch requested := access.ActorOf(ctx); {
	case written:
	case requested.Who != "":
		who, how = requested, "a reload was requested"
	case v.running.Load() == nil:
		who, how = access.Actor{Who: "unknown"}, "found in the file at the start of the server"
	default:
		who, how = access.Actor{Who: "unknown"}, "the file changed"
	}
	c.Who, c.From, c.How = who.Who, who.From, how
	text, err := config.RedactText(filepath.Base(v.Config), cfg.Text())
	if err == nil {
		c.Text = string(text)
		err = history.AddConfigChange(ctx, v.store, c)
	}
	if err = errors.Join(err, history.AddConfig(ctx, v.store, c.Version, c.At)); err != nil {
		v.Log.Warn("the history is incomplete: the use of the config cannot be recorded", "error", err)
	}
}

// configChanges returns the changes of the config that are kept, newest first.
func (v *server) configChanges(ctx context.Context) ([]history.ConfigChange, error) {
	return history.ConfigChanges(ctx, v.store, 0)
}
