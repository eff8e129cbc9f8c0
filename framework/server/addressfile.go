package server

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// AddressFile is the file of a data directory in which a running server leaves its address and the token for local commands.
const AddressFile = "serve.json"

// address is the content of the address file.
type Address struct {
	URL     string `json:"url"` // the admin API: http://HOST:PORT or unix:PATH
	Ingest  string `json:"ingest,omitempty"`
	Token   string `json:"token,omitempty"`   // authenticates local commands to the admin API; new at each start
	Sandbox string `json:"sandbox,omitempty"` // the sandbox it delivers to; "" for real remotes
}

// NewToken returns a random token that cannot be guessed.
func NewToken() string { return rand.Text() + rand.Text() }

// writeAddressFile writes the address file of this server. The caller calls forget to remove it.
func (v *server) writeAddressFile(cfg *config.Config, l *listeners) (forget func(), err error) {
	dir := instances.DataDir(cfg, v.Data)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.File(err)
	}
	at := Address{URL: l.adminURL(), Ingest: v.localIngestURL(l), Token: v.token, Sandbox: v.Target.SandboxName()}
	text, err := json.Marshal(at)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, AddressFile)
	forget = func() {
		if now, err := ReadAddress(dir); err == nil && now == at {
			_ = os.Remove(file)
		}
	}
	return forget, textfile.Replace(file, text, 0o600)
}

// ReadAddress reads the address file of a data directory.
func ReadAddress(dir string) (at Address, err error) {
	file := filepath.Join(dir, AddressFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return at, fault.File(err)
	}
	if err := json.Unmarshal(text, &at); err != nil {
		return at, fmt.Errorf("%s is damaged: delete it, and start the server again", file)
	}
	return at, nil
}
