package destination

import (
	"fmt"
	"io/fs"
	"net/http"
	"strconv"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// SandboxFile is the name of the rules of a simulated API in a plugin's directory.
const SandboxFile = "sandbox.yaml"

// The options of sandboxes that are declared.
const (
	credentialOption = "credential"
	// RefuseItemOption is the option with the index of an item that is refused in each request.
	RefuseItemOption = "refuse-item"
)

// DeclaredSandbox returns a sandbox that follows the rules of the file sandbox.yaml beside the definition.
func DeclaredSandbox(name string, files fs.FS) *Sandbox {
	return declaredSandbox(name, SandboxFile, files)
}

// declaredSandbox is DeclaredSandbox with the path of the file for errors.
func declaredSandbox(name, file string, files fs.FS) *Sandbox {
	parse := func(options map[string][]string) (*sandbox.Declared, error) {
		rules, err := fs.ReadFile(files, SandboxFile)
		if err != nil {
			return nil, err
		}
		api, err := sandbox.ParseDeclared(file, rules, options[credentialOption])
		if err != nil {
			return nil, err
		}
		for _, text := range options[RefuseItemOption] {
			index, err := strconv.Atoi(text)
			if err != nil || index < 0 {
				return nil, fmt.Errorf("--%s should be the index of an item, from 0, but is %q", RefuseItemOption, text)
			}
			api.RefuseItem(index)
		}
		return api, nil
	}
	return &Sandbox{
		Name: name,
		Options: []SandboxOption{
			{Name: credentialOption, Usage: "accept only requests that carry one of these credentials"},
			{Name: RefuseItemOption, Usage: "refuse the item with this index, from 0, in each request whose response lists refused items"},
		},
		Check: func(options map[string][]string) error {
			_, err := parse(options)
			return err
		},
		New: func(options map[string][]string) http.Handler {
			api, err := parse(options)
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
