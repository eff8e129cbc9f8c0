package destination

import (
	"fmt"
	"io/fs"
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// SandboxFile is the name of the rules of a simulated API in a plugin's directory.
const SandboxFile = "sandbox.yaml"

// credentialOption is the option of sandboxes that are declared.
const credentialOption = "credential"

// DeclaredSandbox returns a sandbox that follows the rules of the file sandbox.yaml beside the definition.
func DeclaredSandbox(name string, files fs.FS) *Sandbox {
	return &Sandbox{
		Name:    name,
		Options: []SandboxOption{{Name: credentialOption, Usage: "accept only requests that carry one of these credentials"}},
		New: func(options map[string][]string) http.Handler {
			rules, err := fs.ReadFile(files, SandboxFile)
			if err != nil {
				return brokenSandbox(err)
			}
			api, err := sandbox.ParseDeclared(SandboxFile, rules, options[credentialOption])
			if err != nil {
				return brokenSandbox(err)
			}
			return sandbox.New(sandbox.Config{API: api})
		},
	}
}

// brokenSandbox answers every request with the mistake in the rules.
func brokenSandbox(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		sandbox.WriteJSON(w, http.StatusInternalServerError, map[string]string{"message": fmt.Sprintf("the sandbox has a mistake: %v", err)})
	})
}
