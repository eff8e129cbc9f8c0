package state

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestTimesAreClampedToTheLastWrite checks which recorded times from wrong clocks are limited, so that a later event can change the row.
func TestTimesAreClampedToTheLastWrite(t *testing.T) {
	none := sql.NullInt64{}
	of := func(seconds int64) sql.NullInt64 { return toMicros(time.Unix(seconds, 0)) }
	for name, c := range map[string]struct{ at, delivered, confirmed, want sql.NullInt64 }{
		"no time":                       {none, of(100), of(100), none},
		"never written":                 {of(900), none, none, of(900)},
		"before the write":              {of(90), of(100), none, of(90)},
		"at the write":                  {of(100), of(100), none, of(100)},
		"within the tolerance":          {of(130), of(100), none, of(130)},
		"beyond it":                     {of(900), of(100), none, of(160)},
		"confirmed later":               {of(900), of(100), of(200), of(260)},
		"confirmed before it was sent":  {of(900), of(200), of(100), of(260)},
		"confirmed, delivery not known": {of(900), none, of(100), of(160)},
	} {
		assert.Equal(t, c.want, clampTime(c.at, c.delivered, c.confirmed, time.Minute), name)
	}
}
