package main

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
	"github.com/landfall-dev/landfall/framework/state"
)

// logins is what the commands on logins share: the instances of a config that need one, and the keeper of their tokens.
type logins struct {
	streams
	config, instance, data string
	json                   bool
	port                   int
	noBrowser, paste       bool
	wait                   time.Duration
	target                 target // that tokens are for: real remotes, or a sandbox at a URL
	store                  *state.Store
	keeper                 *oauth.Manager
	list                   []instance
}

func (l *logins) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&l.config, "config", configFile, "the config `FILE`")
	f.StringVar(&l.data, "data", "", "the data `DIR`; by default the config's, else "+defaultData+" beside it")
	f.StringVar(&l.target.sandboxURL, "sandbox-url", "", "for the tokens of a server with the same --sandbox-url `URL`, which are apart from those for real remotes")
	f.BoolVar(&l.json, "json", false, "print JSON for programs, an object a line")
}

func newAuthLogin(s streams) *cobra.Command {
	l := &logins{streams: s}
	cmd := &cobra.Command{
		Use: "login", Short: "Log in for an instance", Args: exactly(0, "flags only"),
		Long: "Gets the first token of an instance, by the way that its destination says: a browser that comes back to this machine,\n" +
			"a code that is entered in any browser, or the client's own credentials. It is kept encrypted and kept fresh from then\n" +
			"on; a server that runs goes on with it by itself.",
		Example: "  landfall auth login --config landfall.yaml --instance crm\n" +
			"  landfall auth login --instance crm --paste --port 8765   # on a machine without a browser",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.with(cmd.Context(), func(ctx context.Context) error { return l.login(ctx) })
		},
	}
	l.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&l.instance, "instance", "", "the `ID` of the instance in the config; not needed where there is one only")
	f.IntVar(&l.port, "port", 0, "the `PORT` of 127.0.0.1 that the browser comes back to, at /callback; by default any that is free")
	f.BoolVar(&l.noBrowser, "no-browser", false, "open no browser, only print the address")
	f.BoolVar(&l.paste, "paste", false, "read the address that the browser ends at from the input; with --port")
	f.DurationVar(&l.wait, "wait", 10*time.Minute, "how long to wait for somebody to agree")
	return cmd
}

func newAuthStatus(s streams) *cobra.Command {
	l := &logins{streams: s}
	cmd := &cobra.Command{
		Use: "status", Short: "Show which instances have a token, and for how long", Args: exactly(0, "flags only"),
		Long:    "Shows the login of each instance that needs one: scopes, when it ends, when it was refreshed; never a token.",
		Example: "  landfall auth status --config landfall.yaml\n  landfall auth status --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return l.with(cmd.Context(), l.status) },
	}
	l.flags(cmd)
	return cmd
}

func newAuthLogout(s streams) *cobra.Command {
	l := &logins{streams: s}
	cmd := &cobra.Command{
		Use: "logout", Short: "Take the token of an instance back and forget it", Args: exactly(0, "flags only"),
		Long:    "Asks the remote to take the token back, where it can, and forgets it here. Events wait until the next login.",
		Example: "  landfall auth logout --config landfall.yaml --instance crm",
		RunE:    func(cmd *cobra.Command, _ []string) error { return l.with(cmd.Context(), l.logout) },
	}
	l.flags(cmd)
	cmd.Flags().StringVar(&l.instance, "instance", "", "the `ID` of the instance in the config; not needed where there is one only")
	return cmd
}

func newAuthKey(s streams) *cobra.Command {
	return &cobra.Command{
		Use: "key", Short: "Make a key that tokens are encrypted with", Args: exactly(0, "nothing"),
		Long:    "Prints a fresh key, for state.key in the config. Who has it and the state can read the tokens: keep it apart.",
		Example: "  (umask 077; landfall auth key > landfall.key)",
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintln(s.out, oauth.NewKey())
			return nil
		},
	}
}

// with opens the state, finds the instances with logins, and calls f.
func (l *logins) with(ctx context.Context, f func(context.Context) error) error {
	cfg, problems := config.Load(l.config, config.Env{})
	if cfg == nil || len(problems) > 0 {
		return problems.Err()
	}
	l.target.live = l.target.sandboxURL == ""
	dir := dataDir(cfg, l.data)
	if at, err := readAddress(dir); err == nil && at.Sandbox != l.target.sandboxName() && delivery.InUse(filepath.Join(dir, queueName(at.Sandbox))) {
		l.warn("the server that runs delivers to another target, and has tokens of its own: give --sandbox-url as it has, if it is meant")
	}
	var err error
	if l.store, err = openState(ctx, cfg, l.data, l.target.sandboxName()); err != nil {
		return err
	}
	defer l.store.Close()
	all, err := loadPlans(cfg, nil, hosting{target: &l.target, definitions: *l.definitions, store: l.store})
	if err != nil {
		return err
	}
	for _, in := range all {
		if in.plan.Login() != nil {
			l.list = append(l.list, in)
		}
	}
	if len(l.list) == 0 {
		return fmt.Errorf("no enabled instance of %s needs a login", l.config)
	}
	if l.keeper, err = openKeeper(cfg, l.store); err != nil {
		return err
	}
	return f(ctx)
}

// choose is the instance that is meant.
func (l *logins) choose() (instance, error) {
	var ids []string
	for _, in := range l.list {
		if l.instance == in.plan.ID() || l.instance == "" && len(l.list) == 1 {
			return in, nil
		}
		ids = append(ids, in.plan.ID())
	}
	if l.instance == "" {
		return instance{}, misuse("say which instance: --instance %s", strings.Join(ids, " or --instance "))
	}
	return instance{}, misuse("no instance %q needs a login%s", l.instance, fault.DidYouMean(l.instance, ids))
}

func (l *logins) login(ctx context.Context) error {
	in, err := l.choose()
	if err != nil {
		return err
	}
	if l.paste && l.port == 0 {
		return misuse("give --port with --paste: the one of the redirect address that your OAuth client is registered with")
	}
	ctx, cancel := context.WithTimeout(ctx, l.wait)
	defer cancel()
	token, err := l.get(ctx, in.plan.Login())
	if err != nil {
		return fmt.Errorf("%s is not logged in: %w", in.plan.ID(), withoutHow(err))
	}
	if err := l.keeper.Put(ctx, in.plan.ID(), token); err != nil {
		return err
	}
	return l.tell(in, token)
}

// withoutHow is an error of a login that does not ask for a login.
func withoutHow(err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return errors.New(known.Message)
	}
	return err
}

func (l *logins) get(ctx context.Context, remote *oauth.Remote) (oauth.Token, error) {
	switch {
	case remote.Spec.Grant == oauth.ClientCredentials:
		return remote.LoginAsClient(ctx)
	case remote.Spec.Grant == oauth.DeviceCode:
		return remote.LoginWithDevice(ctx, l.ask)
	case l.paste:
		return remote.LoginWithPastedURL(ctx, l.port, l.ask, func() (string, error) {
			fmt.Fprintln(l.err, "The browser ends at a page that it cannot show. Paste its address here:")
			line, err := bufio.NewReader(l.in).ReadString('\n')
			if line == "" && err != nil {
				return "", errors.New("no address was given")
			}
			return line, nil
		})
	}
	return remote.LoginInBrowser(ctx, l.port, func(a oauth.Prompt) {
		l.ask(a)
		if !l.noBrowser {
			browse(a.URL)
		}
	})
}

// ask tells what a person has to do.
func (l *logins) ask(a oauth.Prompt) {
	fmt.Fprintf(l.err, "Open this address in a browser and agree:\n\n  %s\n\n", a.URL)
	if a.Code != "" {
		fmt.Fprintf(l.err, "and enter the code %s\n\n", a.Code)
	}
}

// browse opens a browser where there is one; the address has been printed in any case.
func browse(address string) {
	program := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[goruntime.GOOS]
	if program == nil {
		program = []string{"xdg-open"}
	}
	cmd := exec.Command(program[0], append(program[1:], address)...)
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
}

func (l *logins) status(ctx context.Context) error {
	var unread error
	for _, in := range l.list {
		token, err := l.keeper.Token(ctx, in.plan.ID())
		if err != nil {
			unread = errors.Join(unread, fmt.Errorf("%s: %w", in.plan.ID(), err))
			continue
		}
		if err := l.tell(in, token); err != nil {
			return err
		}
	}
	return unread
}

// tell shows what may be shown of a login.
func (l *logins) tell(in instance, t oauth.Token) error {
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
		}{in.plan.ID(), in.plan.Definition().Slug, state, t})
	}
	fmt.Fprintf(l.out, "%s (%s): %s\n", in.plan.ID(), in.plan.Definition().Name, state)
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

func (l *logins) logout(ctx context.Context) error {
	in, err := l.choose()
	if err != nil {
		return err
	}
	token, err := l.keeper.Token(ctx, in.plan.ID())
	switch {
	case err != nil:
		return err
	case token.Access == "":
		return fmt.Errorf("%s is not logged in", in.plan.ID())
	}
	asked, refusal := in.plan.Login().Revoke(ctx, token)
	if err := l.keeper.Put(ctx, in.plan.ID(), oauth.Token{}); err != nil {
		return err
	}
	switch {
	case refusal != nil:
		return fmt.Errorf("the token of %s is forgotten here, but the remote has not taken it back: %w: take it back there", in.plan.ID(), refusal)
	case !asked:
		fmt.Fprintf(l.out, "%s: logged out; the remote offers no way to take a token back, so it stays good there until it expires\n", in.plan.ID())
	default:
		fmt.Fprintf(l.out, "%s: logged out, and the remote has taken the token back\n", in.plan.ID())
	}
	return nil
}
