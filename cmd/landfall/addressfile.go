package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// addressFile holds, in a data directory in use, where its server answers and the token that local commands need.
const addressFile = "serve.json"

// address is what the address file holds.
type address struct {
	URL     string `json:"url"` // of the admin API: http://HOST:PORT or unix:PATH
	Ingest  string `json:"ingest,omitempty"`
	Token   string `json:"token,omitempty"`   // opens the admin API; another one with each start
	Sandbox string `json:"sandbox,omitempty"` // that it delivers to; "" for real remotes
}

// newToken returns a token that cannot be guessed.
func newToken() string { return rand.Text() + rand.Text() }

// tellAddress writes down where this server answers, until forget.
func (v *serving) tellAddress(cfg *config.Config, l *listeners) (forget func(), err error) {
	dir := dataDir(cfg, v.data)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	v.admin.token = newToken()
	at := address{URL: l.adminURL(), Ingest: addressURL(l.ingest.Addr()), Token: v.admin.token, Sandbox: v.target.sandboxName()}
	text, err := json.Marshal(at)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, addressFile)
	forget = func() {
		if now, err := readAddress(dir); err == nil && now == at {
			_ = os.Remove(file)
		}
	}
	return forget, replaceFile(file, text)
}

// readAddress reads what the server of a data directory says of itself.
func readAddress(dir string) (at address, err error) {
	file := filepath.Join(dir, addressFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return at, err
	}
	if err := json.Unmarshal(text, &at); err != nil {
		return at, fmt.Errorf("%s is damaged: delete it, and start the server again", file)
	}
	return at, nil
}

// replaceFile puts a private file in the place of what is there, all at once; where that is a link, what it leads to stays.
func replaceFile(file string, text []byte) error {
	made, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = made.Write(text)
	if err = errors.Join(err, made.Close()); err == nil {
		err = os.Rename(made.Name(), file)
	}
	if err != nil {
		_ = os.Remove(made.Name())
	}
	return err
}
