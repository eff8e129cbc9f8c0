package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// newWriteKey returns a random write key.
func newWriteKey() string { return rand.Text() }

// keyFileFor returns the name of the key file that storing a secret makes; "" if the config has a key.
func keyFileFor(f configFile) string {
	if f.root.Get("state").Get("key").Exists() {
		return ""
	}
	return KeyFile
}

// pointerOf returns the JSON pointer of an instance in the config.
func pointerOf(at int) string { return "/destinations/" + strconv.Itoa(at) }

// instanceValueWithin is instanceValue for a config to which a source is added.
func (f *setupForm) instanceValueWithin(extra additions) event.Value {
	f.Added = extra
	return f.instanceValue()
}

// saveInstance writes an instance to the config file, and its typed secrets to the state. It changes nothing if the config would have
// errors, which are found like those of landfall validate. The order makes an interruption harmless: first the key, then the secrets, then
// the file that refers to both. The caller must hold c.saving since it has read f.
func (c *Console) saveInstance(ctx context.Context, f configFile, at int, in event.Value, extra additions, typed map[string]string) error {
	if err := c.requireWritable(); err != nil { // before the secrets are stored
		return err
	}
	if len(typed) > 0 && keyFileFor(f) != "" {
		extra.StateKey = "file:" + KeyFile
	}
	root := f.withInstance(at, in, extra)
	if err := c.checkBeforeSave(f, root, extra.StateKey != "", typed); err != nil {
		return err
	}
	text, err := yamldoc.Edit(c.File, f.text, root)
	if err != nil {
		return err
	}
	if len(typed) > 0 {
		if err := c.sealSecrets(ctx, f, text, extra.StateKey != "", typed); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(c.File), 0o700); err != nil {
		return err
	}
	return c.writeConfig(ctx, text, "the setup in the console")
}

// checkBeforeSave returns every problem of a config that is about to be written. Neither its new key nor its typed secrets are stored yet.
func (c *Console) checkBeforeSave(f configFile, root event.Value, newKey bool, typed map[string]string) error {
	values := map[string]string{}
	for name, text := range typed {
		values[fmt.Sprintf("LANDFALL_TYPED_%d", len(values))] = text
		root = replaceText(root, config.SealedPrefix+name, fmt.Sprintf("${LANDFALL_TYPED_%d}", len(values)-1))
	}
	if newKey {
		values["LANDFALL_NEW_KEY"] = oauth.NewKey()
		root = replaceText(root, "file:"+KeyFile, "${LANDFALL_NEW_KEY}")
	}
	text, err := yamldoc.Edit(c.File, f.text, root)
	if err != nil {
		return err
	}
	cfg, problems := config.ParseAt(c.File, text, config.Env{Lookup: func(name string) (string, bool) {
		if v, ok := values[name]; ok {
			return v, true
		}
		return c.lookupEnv(name)
	}, Commands: c.Commands, Base: f.root})
	_, err = c.BuildPlans(cfg, problems, Real, nil) // building plans sends nothing
	return err
}

// replaceText returns v with every text that equals from replaced.
func replaceText(v event.Value, from, to string) event.Value {
	switch v.Kind() {
	case event.String:
		if v.Str() == from {
			return event.NewString(to)
		}
	case event.Object:
		members := membersOf(v)
		for i := range members {
			members[i].Value = replaceText(members[i].Value, from, to)
		}
		return event.NewObject(members)
	case event.Array:
		var items []event.Value
		for _, item := range v.Items() {
			items = append(items, replaceText(item, from, to))
		}
		return event.NewArray(items)
	}
	return v
}

// sealSecrets stores typed secrets in the state of the config with the given text. If the config has a new key, it makes the file.
func (c *Console) sealSecrets(ctx context.Context, f configFile, text []byte, newKey bool, typed map[string]string) error {
	if c.SaveSecrets == nil {
		return errors.New("this console has no state for secrets: enter the name of an environment variable instead")
	}
	if newKey {
		if err := makeKeyFile(filepath.Join(filepath.Dir(c.File), KeyFile)); err != nil {
			return err
		}
	}
	env := config.Env{Lookup: c.Lookup, Commands: c.Commands}
	if !newKey { // otherwise the key is in the file that was just made, which the config in effect does not name
		env.Base = f.root
	}
	cfg, problems := config.ParseAt(c.File, text, env)
	if cfg == nil || cfg.StateKey == "" {
		return fmt.Errorf("state.key cannot be read: %w", problems.Err())
	}
	err := c.SaveSecrets(ctx, cfg, typed)
	c.Guard.Record(ctx, "secrets.write", err, "count", len(typed))
	return err
}

// makeKeyFile makes a key file that only this user can read. A usable key that is there already stays.
func makeKeyFile(path string) error {
	if text, err := os.ReadFile(path); err == nil {
		if _, err := oauth.NewBox(strings.TrimSpace(string(text))); err != nil {
			return fmt.Errorf("%s exists, but has no key: %w: move the file away", path, err)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making the key file: %w", err)
	}
	_, err = f.WriteString(oauth.NewKey() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("making the key file: %w", errors.Join(err, os.Remove(path)))
	}
	return textfile.SyncDir(filepath.Dir(path))
}
