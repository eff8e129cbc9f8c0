package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/access"
)

// loginTimeout bounds an OAuth login.
const loginTimeout = 10 * time.Minute

// loginState is the OAuth status of an instance.
type loginState struct {
	State, Tone string
	Detail      string
	Expires     time.Time
}

// loginStateOf returns the OAuth status of an instance, or nil if it needs no login.
func (c *Console) loginStateOf(ctx context.Context, in Instance) *loginState {
	if in.Plan.Login() == nil || c.Logins == nil {
		return nil
	}
	keeper, err := c.Logins()
	if err != nil {
		return &loginState{State: "token store unavailable", Tone: "invalid", Detail: err.Error()}
	}
	token, err := keeper.Token(ctx, in.Plan.ID())
	switch {
	case err != nil:
		return &loginState{State: "token unreadable", Tone: "invalid", Detail: err.Error()}
	case token.Refused != "":
		return &loginState{State: "login needed", Tone: "invalid", Detail: token.Refused}
	case token.Access == "":
		return &loginState{State: "not connected", Tone: "waiting"}
	}
	return &loginState{State: "connected", Tone: "good", Expires: token.Expires}
}

// handleConnect starts an OAuth login for an instance and redirects to the job page, which tells the user what to do.
func (c *Console) handleConnect(w http.ResponseWriter, r *http.Request) {
	id := r.PostFormValue("instance")
	port, err := strconv.Atoi(cmp.Or(r.PostFormValue("port"), "0"))
	if err != nil || port < 0 || port > 65535 {
		c.renderError(w, r, http.StatusBadRequest, "setup", "Invalid port", "Enter a port number up to 65535, or leave it empty to use any free port.")
		return
	}
	cfg, problems := c.loadConfig()
	instances, err := c.BuildPlans(cfg, problems, Real, nil)
	if err != nil {
		c.renderError(w, r, http.StatusConflict, "setup", "The config has errors", err.Error())
		return
	}
	for _, in := range instances {
		if in.Plan.ID() != id || in.Plan.Login() == nil || c.Logins == nil {
			continue
		}
		keeper, err := c.Logins()
		if err != nil {
			c.renderError(w, r, http.StatusConflict, "setup", "Cannot store the login", err.Error())
			return
		}
		remote := in.Plan.Login()
		if remote.Spec.Grant == oauth.AuthorizationCode && !access.Local(r) {
			c.renderError(w, r, http.StatusConflict, "setup", "Log in on the server's machine",
				"The login redirects the browser to the machine that the server runs on, and your browser is on another one. Run `landfall auth login --instance "+id+"` on the server; with --paste, the browser can be on another machine.")
			return
		}
		c.startLogin(w, r, id, port, remote, keeper)
		return
	}
	c.renderError(w, r, http.StatusNotFound, "setup", "Nothing to connect", "The config has no enabled instance "+id+" that needs a login.")
}

// startLogin runs the login as a background job.
func (c *Console) startLogin(w http.ResponseWriter, r *http.Request, id string, port int, remote *oauth.Remote, keeper *oauth.Manager) {
	k := &job{kind: "login", instance: id}
	prompt := func(a oauth.Prompt) { k.update(func() { k.prompt = loginPrompt{a.URL, a.Code} }) }
	actor := access.ActorOf(r.Context())
	refusal := c.startJob(k, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, loginTimeout)
		defer cancel()
		token, err := requestToken(ctx, remote, port, prompt)
		if err == nil {
			err = keeper.Put(ctx, id, token)
		}
		c.Guard.Record(access.WithActor(ctx, actor), "instance.connect", err, "instance", id)
		var known *fault.Error
		if errors.As(err, &known) {
			return errors.New(known.Message) // leaves out the hint for the command line
		}
		return err
	})
	if refusal != "" {
		c.renderError(w, r, http.StatusConflict, "setup", "Cannot connect now", refusal)
		return
	}
	http.Redirect(w, r, Path+"work/"+k.id, http.StatusSeeOther)
}

// requestToken obtains a token with the grant that the destination uses.
func requestToken(ctx context.Context, remote *oauth.Remote, port int, prompt func(oauth.Prompt)) (oauth.Token, error) {
	switch remote.Spec.Grant {
	case oauth.ClientCredentials:
		return remote.LoginAsClient(ctx)
	case oauth.DeviceCode:
		return remote.LoginWithDevice(ctx, prompt)
	}
	return remote.LoginInBrowser(ctx, port, prompt)
}
