"""Words whose stems tell one version of a language's Snowball stemmer from another.

Of each way in which a stemmer changes an ending one word, and of what changed between Snowball
2.2, 3.0 and 3.1 up to 40: chosen among words of public collections, stop words, and common stems
with every ending that the stemmers know. Who changes them makes every index look as if another
stemmer had written it.
"""

# ruff: noqa: RUF001 (Cyrillic that looks like Latin)

SAMPLE_WORDS: dict[str, str] = {
    "english": """
abnormalities activities activity added adding additionally admitted alternative applying
approximately associated availability available awareness based biological capabilities cells
classification clinical compared components computational computationally conclusions conditioned
conditioning considered considering continuous controlled convolutional demonstrate dependencies
derivatives development differences different dimensionality disease distillation dynamics
effectiveness efficiency efficiently embedded embedding embeddings emergable emergence emergencies
emergency emergent engineered engineering especially estimates evening evidence excellent expectancy
experiments expression findings generalize generalizes generator hepatitis heterogeneity highly
however improvements indicating individuals information initialization interable interabli
interalism interaliti interalli interance interanci interant interate interation interative
interator intere intered interedly interement interence interenci interent interentli interer
interfered interfering intergently interherring interible interic interical intericate intericiti
intering internalization internalize internalized internalizing internally international
internationally interval intervals largely lateralized lateralizing learning malignancies mapping
markedly mechanism mechanisms mediators modifications objectives occurred occurring oncologists
optimization optimizing organic organism organisms organization organizations organize organized
organizer organizers organizes organizing oscillations overall parameters participants paste pasting
performance performances planning positive postoperative pregnancies pregnancy probability
pulmonologist quantitatively randomized regulator regulators reinforcement remarkably
representations representative represented representing reprogramming respectively responsible
robustness sensitivity setting settings signalling significant significantly simultaneously specific
specifically specificity spontaneous studies study successfully surprisingly surveillance
susceptibility the underlying univers universabli universal universalism universaliti universality
universalize universalli universally universance universanci universant universate universities
university useful using volunteers
""",
    "german": """
aelius aeuv aktuellen anaeroben andere anderen anhänger anschliessend apothekentechniker
arzneimitteln ausländischen auswirkungen benötigt bevölkerung bezeichnet bürger chicagoer darüber
der dienst ebenfalls eine einem einer eines elektrizitätsystem enthält erforderlich erhöhen erklären
erklärt erklärte eröffnet eröffneten europäische europäischen evangelisch flügeln französische
französischen frühen früher früheren fuerteventura führen führt führte führten führung fünf für
gaelen gebäude gegründet gegründeten gehören gemäss getötet gewinnerin gewählten grösse grösser
grössere grösste grössten gründete gründung hauptsächlich heterosexuelle huguenot häufig höheren
israelischen joe jüngste kanäle kuechly kuznets können könnte könnten körper lehrkräfte luthers
ländern mansueto michael möglich möglicherweise müssen namens natürliche notwendig nächsten nähe
nördlich politik politische politischen präsident präsidenten quadratkilometer quadratkilometern
regierung religiösen römischen satellitenschüsseln sondern später städte städten stämme stärksten
system süden südlich temüdschin trägerrakete tätig tötete unabhängig unabhängige ungefähr
ungleichheit universität universitäten unterstützen unterstützt unterstützung ursprünglich venezuela
verantwortlich verbleibenden verbreitete verbreiteten verbündeter vergangenheit verschiedene
verschiedenen verwüstete veröffentlicht voes vollständig vorläuferin weiterer werden wirtschaftliche
während wäre würde zerstört zuerst zunächst zurück zusätzlich zusätzliche ähnliche älteste ältesten
öffentliche öffentlichen öl üben über übertragung
""",
    "french": """
a actassiez actassions actière ainsi algunas alles après assiez aura außer celle celles cette damit
dell della denn denna denne detta dies durante ett formation formeuse formeuses formités genera
generai generaient generais generait generas hennes interable interables interaient interais
interaise interaises interait interamment interance interances interantes interants interasse
interassent interasses interassiez interassions interateur interateurs interation interations
interatrice interatrices interaux intereais intereaux interement interements interemment interence
interences intererez intereriez intererions intererons intereront intereuse intereuses intereux
interif interifs interique interiques interir interira interirai interiraient interirais interirait
interiras interirent interirez inteririez interirions interirons interiront interisme interismes
interissaient interissais interissait interissant interissante interissantes interissants interisse
interissement interissements interissent interisses interissez interissiez interissions interissons
interiste interistes interité interités interive interives interièr interière internoux jullie
kalais kirjai kirjament logies pendant perché quelli quién taloment também tandis there él
""",
    "spanish": """
a ación actaremos algunas alguno algunos algún aréis aríais aríamos arían arías así aura außer cuál
cuándo cómo daran deren dieses dónde está están había habían interaba interabais interaban interabas
interable interables interacion interaciones interación interad interada interadas interado
interador interadora interadoras interadores interados interamente interamiento interamientos
interamos interancia interancias interando interante interantes interanza interanzas interar
interara interarais interaran interaras interaremos interaron interará interucion iéndo iéramos
iésemos kirjaaba kirjaabais kirjaaban kirjaabas kirjaad kirjaada kirjaadas kirjaado kirjaados
kirjaamente kirjaamos kirjaando kirjaar kirjaara kirjaarais kirjaaran kirjaaras kirjaaremos
kirjaaron logías mukaan más nós perché quién qué será só sólo taloaba taloabais taloaban taloabas
taload taloada taloadas taloado taloados taloamente taloamos taloan taloando taloar taloara
taloarais taloaran taloaras taloaremos taloaron também their there tú wanneer ábamos áramos ásemos
él étaient étais était étant été íamos
""",
    "italian": """
a ainsi alguno algún así aura avevano cuál cuándo cómo durch dónde está están furono genercela
genercele generceli genercelo genercene generci generemmo había habían interabile interabili
interamente interamenti interamento interammo interando interante interanti interanza interanze
interar interare interarono interasse interassero interassi interassimo interata interate interati
interato interatore interatori interatrice interatrici interava interavamo interavano interavate
interavi interavo interazione interazioni interemmo jullie kirjaamente kirjaamenti kirjaamento
kirjaammo kirjaando kirjaano kirjaar kirjaare kirjaarono kirjaasse kirjaassero kirjaassi kirjaassimo
kirjaata kirjaate kirjaati kirjaato kirjaava kirjaavamo kirjaavano kirjaavate kirjaavi kirjaavo
kirjaemmo logia más nós perché però quién qué será só sólo taloamente taloamenti taloamento taloammo
taloando taloano taloar taloare taloarono taloasse taloassero taloassi taloassimo taloata taloate
taloati taloato taloava taloavamo taloavano taloavate taloavi taloavo taloemmo também their there tú
universi welche él étaient étais était étant été
""",
    "portuguese": """
a actarei actaremos actariam actaríamos actaríeis ainsi algunas alguno algunos aríamos aríeis aura
außer depuis diesem dieses foram genera generam generas generei genereis generem generemos interada
interadas interado interador interadora interadoras interadores interados interais interamente
interamento interamentos interando interante interantes interar interara interaram interaras
interardes interarei interareis interarem interaremos interares interaria interariam interarias
interarmos interará interarás interaríamos interaríeis interasse interassem interasses interaste
interastes interava interavam interavas interendo intererdes intereres intereria intereriam
intererias interermos intererá intererás intereríamos intereríeis interesse interessem interesses
intereste interestes intereu intereza interezas interica intericas interico intericos interida
interidade interidades interidas interido interidos interimento interimentos interimos interindo
interira interiram interiras interirdes interirei interireis interirem interiremos interires
interiria inteririam interirias interirmos interirá interirás interiríamos interiríeis interismo
interismos interisse interissem interisses interista logia logias perché será their there você
wanneer
""",
    "dutch": """
a achtig achtiger achtigst algún alle allen alles als así autres belen belend belerig boken bokend
bokerig communen communend communerig communeriger cuál cuándo cómo deren dessen diesen dónde eriger
erigst esse esses está están fallachtig fallachtiger fallachtigst fallbaar fallde fallend fallerig
für gegen genera generaa generachtig generachtiger generachtigst generarij generatie generatief
generaus generbaar generbar generbb genercc generd generdd generde generdst genere generee genereft
generen generend generene genererig genereriger generi genery haben había habían hatte hatten havde
hebben heeft hendes husen husend huserig hänen ihre interachtig interachtiger interachtigst
interarij interatie interatief interbaar interdst interend intererig intereriger internarij
internerig interneriger jeden kenen kommachtig kommachtiger kommachtigst kommbaar kommde kommen
kommend kommerig kommeriger können laboren laborend laborerig laboreriger levend levende levendst
levene levenend levenerig lopen lopend loperig más nogen olen organen organend organerig organeriger
quién qué studdst studend studerig studeriger sólo también there trabajend trabajerig uden uten
waren werde werden während él étaient étais était étant été être über
""",
    "swedish": """
a algunas allen aller alles aura avons estar hetens heterna hvorfor interad interade interades
interande interanden interandes interandet interare interaren interarens interarna interarnas
interarne interast interaste interdd intererns interhet interheten interhetens interheter
interheterna interig internas internn interorna interornas interöst meget olette omdat parlig
sondern there wordt
""",
    "norwegian": """
a algunas allen aller alles aura avons estar hetene hetenes hetens hetslov inget interande interane
interast interede intereig intereleg interelig interelov interende interendes interers intererte
interets interhet interheten interhetene interhetenes interhetens interheter interhetslov interig
interleg interlov kulters mêmes parlig there ustedes vers wordt être
""",
    "danish": """
a allen aller alles celle celles comme dann dass denne dessen emerggd emerggt essere fallelig fallen
fallende fallendes fallene fallenes fallens faller fallere fallered fallerede falleren fallerende
fallerendes fallerens fallerer falleres falleret fallerets fallerne fallernes fallers fallet
fallethed fallets fallhed fallheden fallhedens fallheder fallheds falllig falls fosse hadde hadden
hatte hatten hebben hedens hennes inget interelig interen interende interendes interenes interens
interer interered intererede intereres intereret intererets interernes interers interethed intergd
interhed interheden interhedens interheder interheds interig interne internende internendes
internets kommelig kommen kommende kommendes kommene kommenes kommens kommer kommere kommered
kommerede kommeren kommerende kommerendes kommerens kommerer kommeres kommeret kommerets kommerne
kommernes kommers kommes kommet kommethed kommets kommhed kommheden kommhedens kommheder kommheds
kommig kommlig komms kunnen levene parkkt parlig studdt there will wordt
""",
    "finnish": """
a acthan acthän actkaan actkin actko agli ainsi alguna alle allen allo comme communa communhan
communhän communi communkaan communkin communko contra damit dann dass denne dessen ella essa esse
esta ettei että fallaa fallai fallee fallei fallii falline fallksi formimmä hadde hadden hanno hatte
hatten hebben hvordan hänelle hänessä ihnen ihre ikke inget interee intereja interejä interhan
interhin interhon interhän interii interimma interimmi interimmä interimpa interimpi interimpä
interine interksi interkään internhan internhän internkaan internkin internko internkään isso jullie
kanssa ketkä kirjaa kirjaan kirjahan kirjahän kirjaine kirjakaan kirjakin kirjako kirjaksi kommaa
kommai komman kommee kommei kommen kommi kommii kommine kommksi können mellan millä minulla missä
ogni olemme olin olisit olleet ollut omdat organa organhan organhän organi organkaan organkin
organko organkään parkko poikki quelli samma sotto talohon trabajine trabajj trabajksi tutti upp
vaikka welchen will ynnä
""",
    "russian": """
а более была были было быть весь всей даже ему ившись интерам интерами интерах интерев интерего
интереи интерей интерейте интерейш интерейше интерем интерему интерен интерена интерено интерены
интерею интерий интерил интерила интерили интерило интерим интерими интерит интерите интерить
интеришь интерию интерия интериям интериями интериях интернно интеров интерое интерост интерость
интерою интерся какая какой меня национн национна национны нём потому учиа учиам учиами учиах учиая
учив учивши учившись учие учиев учиего учиее учиеи учией учиейте учием учиему учиен учиена учиено
учиены учиею учии учиив учиивши учиившись учиие учиии учиий учиил учиила учиили учиило учиим учиими
учиит учиите учиить учиих учиишь учиия учииям учииями учииях учио учиов учиого учиое учиой учиом
учиому учиою учися читав читавши читавшись читает читаете читаешь читайте читал читала читали читало
читанно читась читася чтобы этих этого этом
""",
}
