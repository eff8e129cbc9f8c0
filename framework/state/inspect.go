package state

import (
	"context"
	"time"
)

// Inspection is what InspectDatabase finds.
type Inspection struct {
	Version   int           // version of the schema; 0 if there is none yet
	Newest    int           // newest version that this program knows
	ClockSkew time.Duration // how far the database's clock is ahead of this machine's
}

// Problem says why this program cannot use the database, or "" if it can.
func (i Inspection) Problem() string {
	if i.Version > i.Newest {
		return newerSchema(i.Version, i.Newest)
	}
	return ""
}

// InspectDatabase connects to the PostgreSQL database of a location and sandbox, as OpenSandbox does, and changes nothing: it neither
// creates nor migrates the schema. The error is an *OpenError if the database cannot be used.
func InspectDatabase(ctx context.Context, location, sandbox string) (found Inspection, err error) {
	d, source, err := postgresOf(location, sandbox)
	if err != nil {
		return found, err
	}
	db, err := d.connect(source)
	if err != nil {
		return found, openError(location, err)
	}
	defer func() { _ = db.Close() }()
	s, found := &Store{db: db, dialect: d}, Inspection{Newest: d.newest}
	var hasSchema bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('migrations') IS NOT NULL`).Scan(&hasSchema); err != nil {
		return found, openError(location, err)
	}
	if hasSchema {
		if found.Version, err = readVersion(ctx, db); err != nil {
			return found, openError(location, err)
		}
	}
	found.ClockSkew, err = s.ClockSkew(ctx)
	return found, err
}
