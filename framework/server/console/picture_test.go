package console_test

import (
	"context"
	"math"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/internal/chromium"
)

// TestPicture takes the picture of the README:
//
//	LANDFALL_PICTURE=console.png go test -run TestPicture ./framework/server/console
func TestPicture(t *testing.T) {
	file := os.Getenv("LANDFALL_PICTURE")
	if file == "" {
		t.Skip("set LANDFALL_PICTURE to the file to write")
	}
	q := newQueuePageOf(t, 7, func(s *console.Config) {
		s.History.Counts = func(_ context.Context, since time.Time) (list []history.CountSlot, err error) {
			for at := since; at.Before(time.Now()); at = at.Add(15 * time.Minute) {
				n := int64(4000 + 2600*math.Sin(at.Sub(since).Hours()*math.Pi/12) + 300*math.Sin(at.Sub(since).Hours()*9))
				list = append(list, history.CountSlot{At: at, Counts: history.Counts{Instances: history.Outcomes{"main": {"delivered": n, "skipped": n / 5, "unmatched": n / 9, "retried": n / 60, "dead": n / 900}}}})
			}
			return list, nil
		}
	})
	server := httptest.NewServer(q.http)
	t.Cleanup(server.Close)
	ctx := chromium.Start(t)
	require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(1280, 860), chromedp.Navigate(server.URL+"/console/deliveries?window=24h"), chromedp.WaitReady(chromedp.CSS("svg.chart"))))
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, picture, 0o600))
}
