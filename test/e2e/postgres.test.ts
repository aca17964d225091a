import { Postgres, postgresBin } from "./postgres.ts";
import { describeSurvival } from "./survival.ts";

describeSurvival("PostgreSQL", postgresBin !== undefined, (place) => new Postgres(place));
