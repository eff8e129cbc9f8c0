package oauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/landfall-dev/landfall/framework/fault"
)

// callbackPath is the path of the redirect URI.
const callbackPath = "/callback"

// Prompt tells a user what to do for a login.
type Prompt struct {
	URL  string // to open in a browser
	Code string // to enter there; may be ""
}

// codeLogin is one login with an authorization code.
type codeLogin struct {
	remote   *Remote
	config   *oauth2.Config
	state    string
	verifier string
}

// callbackURL returns the redirect URI.
func (r *Remote) callbackURL(port int) string {
	return fmt.Sprintf("http://%s:%d%s", cmp.Or(r.Spec.RedirectHost, "127.0.0.1"), port, callbackPath)
}

func (r *Remote) startCodeLogin(redirect string) (*codeLogin, string) {
	c := &codeLogin{remote: r, config: r.oauthConfig(redirect), state: oauth2.GenerateVerifier()}
	options := r.authOptions(r.Spec.Parameters)
	if r.Spec.PKCE {
		c.verifier = oauth2.GenerateVerifier()
		options = append(options, oauth2.S256ChallengeOption(c.verifier))
	}
	return c, c.config.AuthCodeURL(c.state, options...)
}

// exchangeCode gets the token for the query of the redirect.
func (c *codeLogin) exchangeCode(ctx context.Context, back url.Values) (Token, error) {
	switch {
	case back.Get("state") != c.state:
		return Token{}, errors.New("the redirect has the state of another login: start again")
	case back.Get("error") != "":
		return Token{}, errors.New(strings.TrimSuffix("the remote refused the login: "+back.Get("error")+": "+back.Get("error_description"), ": "))
	case back.Get("code") == "":
		return Token{}, errors.New("the redirect has no code")
	}
	options := c.remote.authOptions(c.remote.Spec.TokenParameters)
	if c.verifier != "" {
		options = append(options, oauth2.VerifierOption(c.verifier))
	}
	response, err := c.config.Exchange(c.remote.withClient(ctx), back.Get("code"), options...)
	if err != nil {
		return Token{}, c.remote.tokenError(err, Token{Access: back.Get("code"), Refresh: c.verifier})
	}
	return c.remote.newToken(response, Token{}), nil
}

// LoginInBrowser logs in with a browser on this machine, which is redirected to 127.0.0.1 at a port; 0 chooses one. It waits
// until ctx ends.
func (r *Remote) LoginInBrowser(ctx context.Context, port int, ask func(Prompt)) (Token, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return Token{}, fmt.Errorf("cannot listen for the redirect: %s: choose another port with --port", fault.ListenReason(err))
	}
	c, address := r.startCodeLogin(r.callbackURL(listener.Addr().(*net.TCPAddr).Port))
	type outcome struct {
		token Token
		err   error
	}
	done := make(chan outcome, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+callbackPath, func(w http.ResponseWriter, request *http.Request) {
		back := request.URL.Query()
		token, err := c.exchangeCode(ctx, back)
		writeResultPage(w, err)
		if back.Get("state") == c.state { // a page of another site must not end this login
			select {
			case done <- outcome{token, err}:
			default:
			}
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(ending) != nil {
			_ = server.Close()
		}
		<-served
	}()
	ask(Prompt{URL: address})
	select {
	case o := <-done:
		return o.token, o.err
	case <-ctx.Done():
		return Token{}, errors.New("the login was not confirmed in time: run the command again")
	}
}

// writeResultPage shows the result in the browser.
func writeResultPage(w http.ResponseWriter, err error) {
	title, text := "Logged in", "You can close this page. Landfall has received its token."
	if err != nil {
		title, text = "Not logged in", err.Error()
		w.WriteHeader(http.StatusBadRequest)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	h.Set("Referrer-Policy", "no-referrer")
	fmt.Fprintf(w, "<!doctype html><title>%[1]s</title><body style=\"font:18px/1.5 system-ui;margin:20vh auto;max-width:30em\"><h1>%[1]s</h1><p>%[2]s", title, html.EscapeString(text))
}

// LoginWithPastedURL logs in with a browser on another machine. The browser ends at an address of 127.0.0.1 that cannot be
// reached; the user copies it and back returns it.
func (r *Remote) LoginWithPastedURL(ctx context.Context, port int, ask func(Prompt), back func() (string, error)) (Token, error) {
	c, address := r.startCodeLogin(r.callbackURL(port))
	ask(Prompt{URL: address})
	text, err := back()
	if err != nil {
		return Token{}, err
	}
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return Token{}, errors.New("this is not a URL: copy the complete address that the browser shows at the end")
	}
	return c.exchangeCode(ctx, u.Query())
}

// LoginWithDevice logs in with a code that the user enters in a browser on any device. It waits until ctx ends or the code
// expires.
func (r *Remote) LoginWithDevice(ctx context.Context, ask func(Prompt)) (Token, error) {
	config := r.oauthConfig("")
	with := r.withClient(ctx)
	response, err := config.DeviceAuth(with, r.authOptions(r.Spec.Parameters)...)
	if err != nil {
		return Token{}, r.tokenError(err, Token{})
	}
	ask(Prompt{URL: response.VerificationURI, Code: response.UserCode})
	token, err := config.DeviceAccessToken(with, response, r.authOptions(r.Spec.TokenParameters)...)
	if err != nil {
		return Token{}, r.tokenError(err, Token{Access: response.DeviceCode})
	}
	return r.newToken(token, Token{}), nil
}
