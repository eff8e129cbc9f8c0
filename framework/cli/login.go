package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server"
	"github.com/landfall-dev/landfall/framework/state"
)

// loginCommand is shared by the commands on logins: the instances of a config that need a login, and the store of their tokens.
type loginCommand struct {
	streams
	config, instance, data string
	json                   bool
	port                   int
	noBrowser, paste       bool
	wait                   time.Duration
	target                 target // what the tokens are for: real remotes, or a sandbox at a URL
	stateOptional          bool   // the command works without a state, and creates none
	store                  *state.Store
	manager                *oauth.Manager
	list                   []instances.Instance
}

func (l *loginCommand) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&l.config, "config", configFile, "the config `FILE`")
	f.StringVar(&l.data, "data", "", "the data `DIR`; by default the config's, otherwise "+instances.DefaultData+" beside the config")
	f.StringVar(&l.target.SandboxURL, "sandbox-url", "", "use the tokens of a server that runs with this --sandbox-url `URL`, which are separate from the tokens for real remotes")
	f.BoolVar(&l.json, "json", false, "print JSON, one object per line")
}

func newAuthLogin(s streams) *cobra.Command {
	l := &loginCommand{streams: s}
	cmd := &cobra.Command{
		Use: "login", Short: "Log in for an instance", Args: exactArgs(0, "flags only"),
		Long: "Gets the first token of an instance. The destination defines how: a browser that is redirected to this machine, a code\n" +
			"that is entered in any browser, or the credentials of the OAuth client. Landfall stores the token encrypted and refreshes\n" +
			"it when needed. A running server uses it at once.",
		Example: "  landfall auth login --config landfall.yaml --instance crm\n" +
			"  landfall auth login --instance crm --paste --port 8765   # on a machine without a browser",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.withState(cmd.Context(), func(ctx context.Context) error { return l.runLogin(ctx) })
		},
	}
	l.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&l.instance, "instance", "", "the `ID` of the instance in the config; optional if only one needs a login")
	f.IntVar(&l.port, "port", 0, "the `PORT` of 127.0.0.1 that the browser is redirected to, at /callback; by default any free port")
	f.BoolVar(&l.noBrowser, "no-browser", false, "do not open a browser, only print the address")
	f.BoolVar(&l.paste, "paste", false, "read the address that the browser is redirected to from standard input; requires --port")
	f.DurationVar(&l.wait, "wait", 10*time.Minute, "how long to wait until the user agrees")
	return cmd
}

func newAuthStatus(s streams) *cobra.Command {
	l := &loginCommand{streams: s, stateOptional: true}
	cmd := &cobra.Command{
		Use: "status", Short: "Show which instances have a token, and for how long", Args: exactArgs(0, "flags only"),
		Long:    "Shows the login of each instance that needs one: its scopes, expiry and last refresh. It never shows a token.",
		Example: "  landfall auth status --config landfall.yaml\n  landfall auth status --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return l.withState(cmd.Context(), l.printStatus) },
	}
	l.addFlags(cmd)
	return cmd
}

func newAuthLogout(s streams) *cobra.Command {
	l := &loginCommand{streams: s, stateOptional: true}
	cmd := &cobra.Command{
		Use: "logout", Short: "Revoke the token of an instance and delete it", Args: exactArgs(0, "flags only"),
		Long:    "Asks the remote to revoke the token, if the remote can, and deletes it here. Events wait until the next login.",
		Example: "  landfall auth logout --config landfall.yaml --instance crm",
		RunE:    func(cmd *cobra.Command, _ []string) error { return l.withState(cmd.Context(), l.runLogout) },
	}
	l.addFlags(cmd)
	cmd.Flags().StringVar(&l.instance, "instance", "", "the `ID` of the instance in the config; optional if only one needs a login")
	return cmd
}

func newAuthKey(s streams) *cobra.Command {
	return &cobra.Command{
		Use: "key", Short: "Create a key that encrypts tokens", Args: exactArgs(0, "nothing"),
		Long:    "Prints a new key, for state.key in the config. With the key and the state, anyone can read the tokens: keep them apart.",
		Example: "  (umask 077; landfall auth key > landfall.key)",
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintln(s.out, oauth.NewKey())
			return nil
		},
	}
}

// withState opens the state, finds the instances that need a login, and calls f.
func (l *loginCommand) withState(ctx context.Context, f func(context.Context) error) error {
	cfg, problems := config.Load(l.config, config.Env{})
	if cfg == nil || len(problems) > 0 {
		return problems.Err()
	}
	l.target.Live = l.target.SandboxURL == ""
	dir := instances.DataDir(cfg, l.data)
	if at, err := server.ReadAddress(dir); err == nil && at.Sandbox != l.target.SandboxName() && delivery.InUse(filepath.Join(dir, instances.QueueName(at.Sandbox))) {
		l.warn("the running server delivers to another target, whose tokens are separate: to change those, give the same --sandbox-url as the server")
	}
	opened, err := l.openState(ctx, cfg)
	if err != nil {
		return err
	}
	defer opened.close()
	l.store = opened.Store
	all, err := instances.Load(cfg, nil, instances.Options{Target: &l.target.Target, Catalog: l.catalog(), Store: l.store, Data: l.data})
	if err != nil {
		return err
	}
	l.warnConfig(cfg, all...)
	for _, in := range all {
		if in.Plan.Login() != nil {
			l.list = append(l.list, in)
		}
	}
	if len(l.list) == 0 {
		return fmt.Errorf("no enabled instance of %s needs a login", l.config)
	}
	if l.manager, err = instances.OpenLoginManager(cfg, l.store); err != nil {
		return err
	}
	return f(ctx)
}

// openState opens the state of the config. Only a login creates one.
func (l *loginCommand) openState(ctx context.Context, cfg *config.Config) (openedState, error) {
	if l.stateOptional {
		return l.openStateOrEmpty(ctx, cfg, l.data, l.target.SandboxName())
	}
	store, err := instances.OpenState(ctx, cfg, l.data, l.target.SandboxName())
	return openedState{Store: store}, err
}

// chooseInstance returns the instance of --instance, or the only one that needs a login.
func (l *loginCommand) chooseInstance() (instances.Instance, error) {
	var ids []string
	for _, in := range l.list {
		if l.instance == in.Plan.ID() || l.instance == "" && len(l.list) == 1 {
			return in, nil
		}
		ids = append(ids, in.Plan.ID())
	}
	if l.instance == "" {
		return instances.Instance{}, usageErrorf("say which instance: --instance %s", strings.Join(ids, " or --instance "))
	}
	return instances.Instance{}, usageErrorf("the config has no instance %q that needs a login%s", l.instance, fault.DidYouMean(l.instance, ids))
}

func (l *loginCommand) runLogin(ctx context.Context) error {
	in, err := l.chooseInstance()
	if err != nil {
		return err
	}
	if l.paste && l.port == 0 {
		return usageErrorf("give --port with --paste: the port in the redirect address of your OAuth client")
	}
	ctx, cancel := context.WithTimeout(ctx, l.wait)
	defer cancel()
	token, err := l.requestToken(ctx, in.Plan.Login())
	if err != nil {
		return fmt.Errorf("%s is not logged in: %w", in.Plan.ID(), withoutHint(err))
	}
	if err := l.manager.Put(ctx, in.Plan.ID(), token); err != nil {
		return err
	}
	return l.printLogin(in, token)
}

// withoutHint returns an error of a login without the advice to log in.
func withoutHint(err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return errors.New(known.Message)
	}
	return err
}

func (l *loginCommand) requestToken(ctx context.Context, remote *oauth.Remote) (oauth.Token, error) {
	switch {
	case remote.Spec.Grant == oauth.ClientCredentials:
		return remote.LoginAsClient(ctx)
	case remote.Spec.Grant == oauth.DeviceCode:
		return remote.LoginWithDevice(ctx, l.printAsk)
	case l.paste:
		return remote.LoginWithPastedURL(ctx, l.port, l.printAsk, func() (string, error) {
			fmt.Fprintln(l.err, "After you agree, the browser shows a page that it cannot load. Paste the address of that page here:")
			line, err := bufio.NewReader(l.in).ReadString('\n')
			if line == "" && err != nil {
				return "", errors.New("no address was given")
			}
			return line, nil
		})
	}
	return remote.LoginInBrowser(ctx, l.port, func(a oauth.Prompt) {
		l.printAsk(a)
		if !l.noBrowser {
			openBrowser(a.URL)
		}
	})
}

// printAsk prints what the user has to do to log in.
func (l *loginCommand) printAsk(a oauth.Prompt) {
	fmt.Fprintf(l.err, "Open this address in a browser and agree:\n\n  %s\n\n", a.URL)
	if a.Code != "" {
		fmt.Fprintf(l.err, "and enter the code %s\n\n", a.Code)
	}
}

// openBrowser opens an address in a browser, if the machine has one. Failures do not matter: the address has been printed.
func openBrowser(address string) {
	program := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[goruntime.GOOS]
	if program == nil {
		program = []string{"xdg-open"}
	}
	cmd := exec.Command(program[0], append(program[1:], address)...)
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
}

func (l *loginCommand) printStatus(ctx context.Context) error {
	var unread error
	for _, in := range l.list {
		token, err := l.manager.Token(ctx, in.Plan.ID())
		if err != nil {
			unread = errors.Join(unread, fmt.Errorf("%s: %w", in.Plan.ID(), err))
			continue
		}
		if err := l.printLogin(in, token); err != nil {
			return err
		}
	}
	return unread
}

// printLogin prints the login of an instance, without its secrets.
func (l *loginCommand) printLogin(in instances.Instance, t oauth.Token) error {
	state := "logged in"
	switch {
	case t.Refused != "":
		state = "login needed"
	case t.Access == "":
		state = "not logged in"
	}
	if l.json {
		return json.NewEncoder(l.out).Encode(struct {
			Instance    string `json:"instance"`
			Destination string `json:"destination"`
			State       string `json:"state"`
			oauth.Token
		}{in.Plan.ID(), in.Plan.Definition().Slug, state, t})
	}
	fmt.Fprintf(l.out, "%s (%s): %s\n", in.Plan.ID(), in.Plan.Definition().Name, state)
	if t.Refused != "" {
		fmt.Fprintf(l.out, "  %-10s %s\n", "reason", t.Refused)
	}
	if len(t.Scopes) > 0 {
		fmt.Fprintf(l.out, "  %-10s %s\n", "scopes", strings.Join(t.Scopes, " "))
	}
	for _, row := range []struct {
		name string
		at   time.Time
	}{{"expires", t.Expires}, {"login", t.Login}, {"refreshed", t.Refreshed}} {
		if !row.at.IsZero() {
			fmt.Fprintf(l.out, "  %-10s %s\n", row.name, row.at.Local().Format(time.DateTime))
		}
	}
	return nil
}

func (l *loginCommand) runLogout(ctx context.Context) error {
	in, err := l.chooseInstance()
	if err != nil {
		return err
	}
	token, err := l.manager.Token(ctx, in.Plan.ID())
	switch {
	case err != nil:
		return err
	case token.Access == "":
		return fmt.Errorf("%s is not logged in", in.Plan.ID())
	}
	asked, refusal := in.Plan.Login().Revoke(ctx, token)
	if err := l.manager.Put(ctx, in.Plan.ID(), oauth.Token{}); err != nil {
		return err
	}
	switch {
	case refusal != nil:
		return fmt.Errorf("the token of %s is deleted here, but the remote has not revoked it: %w: revoke it at the remote", in.Plan.ID(), refusal)
	case !asked:
		fmt.Fprintf(l.out, "%s: logged out; the remote cannot revoke tokens, so the token stays valid there until it expires\n", in.Plan.ID())
	default:
		fmt.Fprintf(l.out, "%s: logged out, and the remote has revoked the token\n", in.Plan.ID())
	}
	return nil
}
