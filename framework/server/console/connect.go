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

// loginTime is how long a login may take.
const loginTime = 10 * time.Minute

// loginState is how an instance that somebody logs in for stands.
type loginState struct {
	State, Tone string
	Why         string
	Expires     time.Time
}

// loginOf is nil for an instance that nobody logs in for.
func (c *Console) loginOf(ctx context.Context, in Instance) *loginState {
	if in.Plan.Login() == nil || c.Logins == nil {
		return nil
	}
	keeper, err := c.Logins()
	if err != nil {
		return &loginState{State: "cannot be kept", Tone: "wrong", Why: err.Error()}
	}
	token, err := keeper.Token(ctx, in.Plan.ID())
	switch {
	case err != nil:
		return &loginState{State: "cannot be read", Tone: "wrong", Why: err.Error()}
	case token.Refused != "":
		return &loginState{State: "login needed", Tone: "wrong", Why: token.Refused}
	case token.Access == "":
		return &loginState{State: "not connected", Tone: "waiting"}
	}
	return &loginState{State: "connected", Tone: "good", Expires: token.Expires}
}

// connect begins a login for an instance of the file, and leads to the page that says what a person has to do.
func (c *Console) connect(w http.ResponseWriter, r *http.Request) {
	id := r.PostFormValue("instance")
	port, err := strconv.Atoi(cmp.Or(r.PostFormValue("port"), "0"))
	if err != nil || port < 0 || port > 65535 {
		c.fail(w, r, http.StatusBadRequest, "setup", "No such port", "A port is a number up to 65535; leave it empty for any that is free.")
		return
	}
	cfg, problems := c.load()
	instances, err := c.Make(cfg, problems, Real, nil)
	if err != nil {
		c.fail(w, r, http.StatusConflict, "setup", "The file has mistakes", err.Error())
		return
	}
	for _, in := range instances {
		if in.Plan.ID() != id || in.Plan.Login() == nil || c.Logins == nil {
			continue
		}
		keeper, err := c.Logins()
		if err != nil {
			c.fail(w, r, http.StatusConflict, "setup", "Nothing to keep a login in", err.Error())
			return
		}
		remote := in.Plan.Login()
		if remote.Spec.Grant == oauth.AuthorizationCode && !access.Local(r) {
			c.fail(w, r, http.StatusConflict, "setup", "Not from here",
				"The browser has to come back to the machine that the server runs on. There, use `landfall auth login --instance "+id+"`; with --paste the browser may be elsewhere.")
			return
		}
		c.beginLogin(w, r, id, port, remote, keeper)
		return
	}
	c.fail(w, r, http.StatusNotFound, "setup", "Nothing to connect", "No enabled instance of this name needs a login.")
}

func (c *Console) beginLogin(w http.ResponseWriter, r *http.Request, id string, port int, remote *oauth.Remote, keeper *oauth.Keeper) {
	k := &work{kind: "login", instance: id}
	ask := func(a oauth.Ask) { k.change(func() { k.ask = askView{a.URL, a.Code} }) }
	who := access.ActorOf(r.Context())
	refusal := c.start(k, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, loginTime)
		defer cancel()
		token, err := getToken(ctx, remote, port, ask)
		if err == nil {
			err = keeper.Put(ctx, id, token)
		}
		c.Guard.Record(access.WithActor(ctx, who), "instance.connect", err, "instance", id)
		var known *fault.Error
		if errors.As(err, &known) {
			return errors.New(known.Message) // without the way that the command line has
		}
		return err
	})
	if refusal != "" {
		c.fail(w, r, http.StatusConflict, "setup", "Not now", refusal)
		return
	}
	http.Redirect(w, r, Path+"work/"+k.id, http.StatusSeeOther)
}

func getToken(ctx context.Context, remote *oauth.Remote, port int, ask func(oauth.Ask)) (oauth.Token, error) {
	switch remote.Spec.Grant {
	case oauth.ClientCredentials:
		return remote.Credentials(ctx)
	case oauth.DeviceCode:
		return remote.Device(ctx, ask)
	}
	return remote.Browser(ctx, port, ask)
}
