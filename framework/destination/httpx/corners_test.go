package httpx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// TestExchangesAreKept checks when a response or an error carries its exchange: if the context asks for it, and only of failures and of
// responses of 300 and above.
func TestExchangesAreKept(t *testing.T) {
	for _, c := range []struct {
		keep   bool
		status int // 0: no response
		kept   bool
	}{{true, 299, false}, {true, 300, true}, {true, 503, true}, {false, 503, false}, {true, 0, true}, {false, 0, false}} {
		chain := httpx.New(httpx.Config{Base: answering(func(r *http.Request) (*http.Response, error) {
			if c.status == 0 {
				return nil, errors.New("cut off")
			}
			return answer(r, c.status, nil, "because")
		})})
		ctx := t.Context()
		if c.keep {
			ctx = httpx.KeepExchanges(ctx)
		}
		response, err := post(t, chain, ctx, "https://remote.example/path?token=hush", `{"a":1}`)
		x := httpx.ExchangeOf(err)
		if c.status != 0 {
			require.NoError(t, err)
			x = httpx.ResponseExchange(response)
		}
		if !c.kept {
			assert.Nil(t, x, "%+v", c)
			continue
		}
		require.NotNil(t, x, "%+v", c)
		assert.Equal(t, []any{"POST", "https://remote.example/path?token=[hidden]", c.status, `{"a":1}`}, []any{x.Method, x.URL, x.Status, string(x.Body)})
		assert.Equal(t, c.status == 0, x.Err != nil)
	}
	assert.Nil(t, httpx.ResponseExchange(nil))
	assert.Nil(t, httpx.ResponseExchange(&http.Response{}))
	assert.Nil(t, httpx.ExchangeOf(errors.New("other")))
	cause := errors.New("cause")
	assert.Equal(t, cause, httpx.WithExchange(nil, cause))
	kept := httpx.WithExchange(&httpx.Exchange{Status: 404}, nil)
	assert.Equal(t, "Not Found", kept.Error())
	assert.ErrorIs(t, httpx.WithExchange(&httpx.Exchange{}, cause), cause)
}

// TestErrorsOfCredentials checks the errors of Authorize and Renew: a known one and the end of the context stay, any other is a final 401.
func TestErrorsOfCredentials(t *testing.T) {
	other := errors.New("no key")
	for _, given := range []error{other, &fault.Error{Code: fault.CodeConnection, Status: 503, Retry: true, Message: "later"}, context.Canceled, context.DeadlineExceeded} {
		for _, link := range []string{"authorize", "renew", "authorize after renew"} {
			sent, authorized := 0, 0
			chain := httpx.New(httpx.Config{
				Base: answering(func(r *http.Request) (*http.Response, error) { sent++; return answer(r, 401, nil, "") }),
				Authorize: func(context.Context, *http.Request) error {
					if authorized++; link == "authorize" || link == "authorize after renew" && authorized == 2 {
						return given
					}
					return nil
				},
				Renew: func(context.Context, *http.Request) (bool, error) {
					if link == "renew" {
						return false, given
					}
					return true, nil
				},
			})
			_, err := post(t, chain, t.Context(), "https://remote.example/", "{}")
			var known *fault.Error
			require.ErrorAs(t, err, &known, link)
			assert.Contains(t, err.Error(), given.Error(), link)
			switch {
			case given == context.Canceled || given == context.DeadlineExceeded:
				assert.ErrorIs(t, err, given, link)
			case given == other:
				assert.ErrorIs(t, err, given, link)
				assert.Equal(t, []any{401, false}, []any{known.Status, known.Retry}, link)
				assert.Contains(t, known.Error(), "authorizing the request: no key")
			default:
				assert.Equal(t, []any{503, true}, []any{known.Status, known.Retry}, link)
			}
			if link == "authorize" {
				assert.Zero(t, sent, "nothing is sent without credentials")
			} else {
				assert.Equal(t, 1, sent)
			}
		}
	}
}

// TestRenewedRequestsHaveTheirBody checks that the request after a 401 is sent once more, with its body and the new credentials.
func TestRenewedRequestsHaveTheirBody(t *testing.T) {
	for _, different := range []bool{true, false} {
		var bodies, keys []string
		key := "old-key"
		chain := httpx.New(httpx.Config{
			Base: answering(func(r *http.Request) (*http.Response, error) {
				raw, _ := io.ReadAll(r.Body)
				bodies, keys = append(bodies, string(raw)), append(keys, r.Header.Get("Authorization"))
				return answer(r, 401, nil, "no")
			}),
			Authorize: func(_ context.Context, r *http.Request) error { r.Header.Set("Authorization", key); return nil },
			Renew: func(_ context.Context, sent *http.Request) (bool, error) {
				assert.Equal(t, "old-key", sent.Header.Get("Authorization"))
				key = "new-key"
				return different, nil
			},
		})
		response, err := post(t, chain, t.Context(), "https://remote.example/", `{"a":1}`)
		require.NoError(t, err)
		assert.Equal(t, 401, response.StatusCode)
		if different {
			assert.Equal(t, []string{`{"a":1}`, `{"a":1}`}, bodies)
			assert.Equal(t, []string{"old-key", "new-key"}, keys)
		} else {
			assert.Len(t, bodies, 1)
		}
	}
}

// TestRequestBodiesAreBounded checks bodies of the greatest allowed size, and errors of reading them.
func TestRequestBodiesAreBounded(t *testing.T) {
	sent := 0
	chain := httpx.New(httpx.Config{MaxRequestBytes: 10, Base: answering(func(r *http.Request) (*http.Response, error) {
		sent++
		raw, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		assert.EqualValues(t, len(raw), r.ContentLength)
		return answer(r, 200, nil, "")
	})})
	for _, size := range []int{10, 11} {
		text := strings.Repeat("x", size)
		for _, body := range []io.ReadCloser{io.NopCloser(strings.NewReader(text)), httpx.Body([]byte(text))} {
			r, err := http.NewRequestWithContext(t.Context(), "POST", "https://remote.example/", body)
			require.NoError(t, err)
			_, err = chain.RoundTrip(r)
			if size == 10 {
				require.NoError(t, err)
				continue
			}
			var known *fault.Error
			require.ErrorAs(t, err, &known)
			assert.Equal(t, 413, known.Status)
			assert.False(t, known.Retry)
			assert.ErrorContains(t, err, "the request was not sent: its body is larger than 10 bytes")
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", "https://remote.example/", iotest.ErrReader(errors.New("the disk is gone")))
	require.NoError(t, err)
	_, err = chain.RoundTrip(r)
	assert.ErrorContains(t, err, "reading the request body: the disk is gone")
	assert.Equal(t, 2, sent)
}

// TestURLsThatCannotBeSentTo checks that such a request is a final error that no transport sees.
func TestURLsThatCannotBeSentTo(t *testing.T) {
	chain := httpx.New(httpx.Config{Base: answering(func(*http.Request) (*http.Response, error) { t.Error("sent"); return nil, nil })})
	for _, u := range []*url.URL{nil, {}, {Scheme: "https"}, {Host: "remote.example"}, {Scheme: "ftp", Host: "remote.example"}, {Scheme: "file", Host: "h", Path: "/etc/passwd"},
		{Scheme: "ftp", Host: "h", User: url.UserPassword("ann", "very-secret"), RawQuery: "token=very-secret"}} {
		_, err := chain.RoundTrip((&http.Request{Method: "GET", URL: u, Header: http.Header{}}).WithContext(t.Context()))
		var known *fault.Error
		require.ErrorAs(t, err, &known)
		assert.False(t, known.Retry, "%v", u)
		assert.ErrorContains(t, err, "is not an http or https URL with a host")
		assert.NotContains(t, err.Error(), "very-secret")
	}
}

// TestBodiesInExchangesAreCut checks the note on a body that is too long to show, and that no character is cut in two.
func TestBodiesInExchangesAreCut(t *testing.T) {
	for body, want := range map[string]string{"1234567": "1234567", "12345678": "12345678", "123456789": "12345678… [9 bytes in all]", "123456éé": "123456é… [10 bytes in all]", "1234567é": "1234567… [9 bytes in all]", "12345👍": "12345… [9 bytes in all]", "123456": "123456"} {
		var seen httpx.Exchange
		chain := httpx.New(httpx.Config{MaxShownBytes: 8, Observe: func(e httpx.Exchange) { seen = e }, Base: answering(func(r *http.Request) (*http.Response, error) { return answer(r, 200, nil, body) })})
		_, err := post(t, chain, t.Context(), "https://remote.example/", "")
		require.NoError(t, err)
		assert.Equal(t, want, string(seen.ResponseBody))
	}
}

// TestBodiesAreCutBehindWhatIsHidden checks that a cut body of JSON begins as the whole one does, wherever it is cut.
func TestBodiesAreCutBehindWhatIsHidden(t *testing.T) {
	const body = `{"users":[{"id":"ana","tags":["a","b"],"very-secret":1},{"id":12.50,"api_token":{"a":["x",7,true,null]}}],"none":[],"nothing":{},"text":"é\u0000\"very-secret",` +
		`"url":"https://u:p@h/?token=abcdef&x=1","last":[[[1],2],3]}`
	whole := string(httpx.NewRedactor(nil, []string{"very-secret"}).Body("application/json", []byte(body)))
	assert.JSONEq(t, `{"users":[{"id":"ana","tags":["a","b"],"[hidden]":"[hidden]"},{"id":12.50,"api_token":{"a":["[hidden]","[hidden]",true,null]}}],"none":[],"nothing":{},
		"text":"é\u0000\"[hidden]","url":"https://[hidden]@h/?token=[hidden]&x=1","last":[[[1],2],3]}`, whole)
	for most := 1; most <= len(whole); most++ {
		chain := httpx.New(httpx.Config{Redactor: httpx.NewRedactor(nil, []string{"very-secret"}), Base: answering(func(r *http.Request) (*http.Response, error) { return answer(r, 200, nil, body) })})
		var seen httpx.Exchange
		ctx := httpx.WithShownBytes(httpx.WithObserver(t.Context(), func(e httpx.Exchange) { seen = e }), most)
		_, err := post(t, chain, ctx, "https://remote.example/", body)
		require.NoError(t, err)
		assert.Equal(t, seen.Body, seen.ResponseBody)
		shown, note, isCut := strings.Cut(string(seen.Body), "…")
		require.Equal(t, most < len(whole), isCut, most)
		require.True(t, strings.HasPrefix(whole, shown) && len(shown) > most-len("é") && len(shown) <= most, "%d: %s", most, shown)
		if isCut {
			assert.Equal(t, fmt.Sprintf(" [%d bytes in all]", len(body)), note)
		}
	}
}

// TestObserversOfAConfigSeeMore checks that WithShownBytes takes nothing from the observer of the Config.
func TestObserversOfAConfigSeeMore(t *testing.T) {
	var seen []string
	observe := func(e httpx.Exchange) { seen = append(seen, string(e.Body)) }
	chain := httpx.New(httpx.Config{Observe: observe, Base: answering(func(r *http.Request) (*http.Response, error) { return answer(r, 200, nil, "") })})
	_, err := post(t, chain, httpx.WithShownBytes(httpx.WithObserver(t.Context(), observe), 4), "https://remote.example/", `"abcdefgh"`)
	require.NoError(t, err)
	assert.Equal(t, []string{`"abcdefgh"`, `"abcdefgh"`}, seen)
}

// TestRedirectKeepsEscapedPaths checks that an escaped slash stays escaped, also below a path of the server.
func TestRedirectKeepsEscapedPaths(t *testing.T) {
	for to, want := range map[string]string{"http://127.0.0.1:1": "http://127.0.0.1:1/a%2Fb/c?x=1", "http://127.0.0.1:1/p%2Fq/": "http://127.0.0.1:1/p%2Fq/a%2Fb/c?x=1"} {
		target, err := url.Parse(to)
		require.NoError(t, err)
		var got *http.Request
		base := httpx.Redirect(answering(func(r *http.Request) (*http.Response, error) { got = r; return answer(r, 200, nil, "") }), target)
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://remote.example/a%2Fb/c?x=1", nil)
		require.NoError(t, err)
		response, err := base.RoundTrip(r)
		require.NoError(t, err)
		assert.Equal(t, want, got.URL.String())
		assert.Equal(t, []string{"remote.example", "https", ""}, []string{got.Header.Get("X-Forwarded-Host"), got.Header.Get("X-Forwarded-Proto"), got.Host})
		assert.Same(t, r, response.Request)
		assert.Empty(t, r.Header)
		r.Host = "virtual.example"
		_, err = base.RoundTrip(r)
		require.NoError(t, err)
		assert.Equal(t, "virtual.example", got.Header.Get("X-Forwarded-Host"), "a host of its own")
	}
}

// TestWaitsEndWithTheContext checks a request that waits for a rate limit: it fails at once if the limit ends after its deadline, and stops
// waiting if its caller does. Resume ends the wait of later requests.
func TestWaitsEndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := 429
		limiter := httpx.NewLimiter(httpx.LimiterConfig{})
		chain := httpx.New(httpx.Config{Limiter: limiter, Base: answering(func(r *http.Request) (*http.Response, error) {
			return answer(r, status, map[string]string{"Retry-After": "8"}, "")
		})})
		_, err := post(t, chain, t.Context(), "https://remote.example/", "{}")
		require.NoError(t, err)
		status = 200
		begin := time.Now()
		soon, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		_, err = post(t, chain, soon, "https://remote.example/", "{}")
		require.ErrorContains(t, err, "the rate limit asks to wait 8s")
		assert.Zero(t, time.Since(begin))
		leaving, leave := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, leave)
		_, err = post(t, chain, leaving, "https://remote.example/", "{}")
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "waiting for the rate limit")
		assert.Equal(t, 3*time.Second, time.Since(begin))
		limiter.Resume()
		_, err = post(t, chain, t.Context(), "https://remote.example/", "{}")
		require.NoError(t, err)
		assert.Equal(t, 3*time.Second, time.Since(begin))
	})
}

// TestPausesAreNotShortened checks that a later response that asks for less does not end a pause, and one that asks for more extends it.
func TestPausesAreNotShortened(t *testing.T) {
	for waits, want := range map[string]time.Duration{"8 2": 8 * time.Second, "2 8": 8 * time.Second, "5 5": 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			list := strings.Fields(waits)
			release := make(chan struct{})
			chain := httpx.New(httpx.Config{Base: answering(func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("N") == "" {
					return answer(r, 200, nil, "")
				}
				<-release
				return answer(r, 429, map[string]string{"Retry-After": r.Header.Get("N")}, "")
			})})
			send := func(n string) {
				r, err := http.NewRequestWithContext(t.Context(), "GET", "https://remote.example/", nil)
				require.NoError(t, err)
				if n != "" {
					r.Header.Set("N", n)
				}
				_, err = chain.RoundTrip(r)
				require.NoError(t, err)
			}
			done := make(chan struct{})
			for _, n := range list {
				go func() { send(n); done <- struct{}{} }()
				synctest.Wait()
			}
			for range list {
				release <- struct{}{}
				<-done
			}
			begin := time.Now()
			send("")
			assert.Equal(t, want, time.Since(begin), waits)
		})
	}
}

// TestShortSecretsAreHiddenByNameOnly checks the length from which a value is hidden wherever it occurs.
func TestShortSecretsAreHiddenByNameOnly(t *testing.T) {
	r := httpx.NewRedactor([]string{"X-Shop-Pin"}, []string{"abc", "abcd"})
	r.AddValue("xyz")
	assert.Equal(t, "abc [hidden] xyz", r.Redact("abc abcd xyz"))
	assert.Equal(t, http.Header{"X-Shop-Pin": {"[hidden]"}, "X_shop_pin": {"Bearer [hidden]"}, "Pin": {"abc"}}, r.Header(http.Header{"X-Shop-Pin": {"abc"}, "X_shop_pin": {"Bearer abc"}, "Pin": {"abc"}}))
	assert.Equal(t, http.Header{"Authorization": {"[hidden]", "Basic [hidden]"}}, r.Header(http.Header{"Authorization": {"a-long-secret-with a-space", "Basic eDp5"}}))
}

// TestOldCredentialsAreForgotten checks how many values that were added later are hidden: the newest ones, beside those from the start.
func TestOldCredentialsAreForgotten(t *testing.T) {
	r := httpx.NewRedactor(nil, []string{"from-the-start"})
	for i := range 64 {
		r.AddValue(strings.Repeat("k", 4+i%2) + "-" + time.Duration(i).String())
		r.AddValue("the-same")
	}
	assert.Equal(t, "kkkk-0s [hidden] [hidden]", r.Redact("kkkk-0s the-same from-the-start"), "the oldest is forgotten")
	assert.Equal(t, "[hidden] [hidden] [hidden]", r.Redact("kkkkk-63ns the-same from-the-start"))
}

// TestWaitsBeforeADistantDeadline checks that a request waits for a rate limit that ends before its deadline.
func TestWaitsBeforeADistantDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := 429
		chain := httpx.New(httpx.Config{Base: answering(func(r *http.Request) (*http.Response, error) {
			return answer(r, status, map[string]string{"Retry-After": "8"}, "")
		})})
		far, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		_, err := post(t, chain, far, "https://remote.example/", "{}")
		require.NoError(t, err)
		status = 200
		begin := time.Now()
		_, err = post(t, chain, far, "https://remote.example/", "{}")
		require.NoError(t, err)
		assert.Equal(t, 8*time.Second, time.Since(begin))
	})
}

// TestParametersWithoutAReadableNameAreHidden checks that a parameter whose name cannot be decoded is not shown.
func TestParametersWithoutAReadableNameAreHidden(t *testing.T) {
	r := httpx.NewRedactor(nil, nil)
	assert.Equal(t, "a=b&%zz=[hidden]&plain&token", string(r.Body("application/x-www-form-urlencoded", []byte("a=b&%zz=c&plain&token"))))
}

// TestSecretsInURLsOfTexts checks what is hidden of the URLs in a value: what stands before the host, and parameters with names of secrets.
func TestSecretsInURLsOfTexts(t *testing.T) {
	r := httpx.NewRedactor(nil, nil)
	for text, want := range map[string]string{
		"https://h.example/a?b=c#d":                      "https://h.example/a?b=c#d",
		"see https://ann:pw@h.example/a, and ann@h":      "see https://[hidden]@h.example/a, and ann@h",
		"postgres://ann:p%40w@h:5432/d?sslmode=require":  "postgres://[hidden]@h:5432/d?sslmode=require",
		"https://h/?api_key=k&page=2 https://h/?token=t": "https://h/?api_key=[hidden]&page=2 https://h/?token=[hidden]",
		"https://h/#access_token=t&state=s":              "https://h/#access_token=[hidden]&state=s",
		"https://medium.com/@ann":                        "https://medium.com/@ann",
		"is token=x? no URL":                             "is token=x? no URL",
	} {
		assert.Equal(t, want, r.Value("", event.NewString(text)).Str(), text)
		assert.Equal(t, want, r.Text(text))
	}
}
