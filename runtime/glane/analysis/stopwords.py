"""Stop words: the words of each language that say how others belong together, and little else.

Articles, prepositions, pronouns, question words, conjunctions and auxiliaries; of letters that an
apostrophe cuts off only those that are hardly ever a term of their own ("l'eau", but "vitamine D").
Keys are names of Snowball stemmers; a stemmer without a list here stops nothing.
"""

# ruff: noqa: RUF001 (letters of other scripts that look like Latin)

STOP_WORDS: dict[str, str] = {
    "english": """
a about above after again against all also although am an and another any anybody anyone anything
are arent around as at be because been before being below between both but by can cannot cant could
couldnt did didnt do does doesnt doing dont down during each eg either etc every everyone everything
few for from further had hadnt has hasnt have havent having he hed her here hers herself hes him
himself his how however i ie if im in into is isnt it its itself ive just many may me might more
most much must my myself neither no nor not now of off often on once one only or other others our
ours ourselves out outside over own per quite rather same shall she shes should shouldnt since so
some somebody someone something such than that thats the their theirs them themselves then there
theres these they theyd theyre theyve this those though through thus to too toward towards under
until up upon very via was wasnt we were werent weve what whatever whats when where whether which
while who whom whose why will with within without wont would wouldnt yet you youd youll your youre
yours yourself yourselves youve
""",
    "german": """
ab aber alle allem allen aller alles als also am an auch auf aus außer bei beim bin bis bist da
damit dann daran darauf das daß dass dein deine dem den denn der deren des dessen dich die dies
diese diesem diesen dieser dieses dir doch dort du durch ein eine einem einen einer eines er es euch
euer eure für gegen hab habe haben hat hatte hatten hier hin ich ihm ihn ihnen ihr ihre ihrem ihren
ihrer im in indem ins ist ja jede jedem jeden jeder jedes jener kann kein keine keinem keinen keiner
können man mehr mein meine mich mir mit muss nach nicht noch nun nur ob oder ohne sehr sein seine
seinem seinen seiner seit selbst sich sie sind so soll sollte sondern sonst über um und uns unser
unter vom von vor während war waren warum was weil welche welchem welchen welcher welches wenn wer
werde werden wie wieder will wir wird wo wurde wurden zu zum zur zwar zwischen
""",
    "french": """
à ai aie ainsi après as au aucun aucune aura aussi autre autres aux avaient avait avant avec avez
avoir avons ce ceci cela celle celles celui ces cet cette ceux chaque chez comme comment dans de
depuis des donc dont du elle elles en encore entre es est et étaient étais était étant été être eu
eux fut il ils j je l la le les leur leurs lors lui mais me même mêmes mes mon n ne ni nos notre
nous on ont ou où par pas pendant peu peut plus pour pourquoi près qu quand que quel quelle quelles
quels qui sa sans se sera ses si soit son sont sous suis sur ta tandis te tes toi ton tous tout
toute toutes très tu un une vers vos votre vous y
""",
    "spanish": """
a al algo algún alguna algunas alguno algunos ante antes así aunque cada como cómo con contra cual
cuál cuales cuando cuándo de del desde donde dónde dos durante e el él ella ellas ellos en entre era
eran eres es esa esas ese eso esos esta está están estas este esto estos estaba estar fue fueron fui
ha había habían haber han has hasta hay he la las le les lo los más me mi mis mientras muy nada ni
no nos nosotros nuestra nuestro o os otra otras otro otros para pero poco por porque pues que qué
quien quién quienes se sea según ser si sí sido sin sobre solo sólo son su sus también tan tanto te
tiene tienen toda todas todo todos tu tú tus un una unas uno unos usted ustedes y ya yo
""",
    "italian": """
a abbiamo ad agli ai al alla alle allo anche ancora avere aveva avevano c che chi ci ciò coi col
come con contro cui da dagli dai dal dalla dalle dallo degli dei del dell della delle dello dentro
di dove dopo dunque e è ed era erano essere fra fu furono gli ha hai hanno ho i il in io l la le lei
li lo loro lui ma me mentre mi mia mie miei mio ne negli nei nel nell nella nelle nello no noi non
nostra nostro o ogni oppure per perché però più poi prima qual quale quali quando quanto quella
quelle quelli quello questa queste questi questo qui se sei senza si sia siamo siete sono sopra
sotto su sua sue sugli sui sul sull sulla sulle sullo suo suoi tra tu tua tuo tutti tutto un una uno
vi voi vostra vostro all dall
""",
    "portuguese": """
a à ao aos aquela aquelas aquele aqueles aquilo as às até cada com como contra cuja cujo da das de
dela dele deles depois desde do dos e é ela elas ele eles em enquanto entre era eram essa essas esse
esses esta está estão estas estava este estes eu foi fomos for foram fosse há isso isto já lhe lhes
mais mas me mesmo meu meus minha muito na não nas nem no nos nós nossa nosso num numa o onde os ou
outra outras outro outros para pela pelas pelo pelos perante pois por porque qual quais quando
quanto que quem são se sem seu seus ser será seja sido só sob sobre somos sou sua suas também tão te
tem têm ter teu tinha tinham toda todas todo todos tu tua um uma umas uns você vocês vos
""",
    "dutch": """
aan al alle als alles altijd ander andere ben bij daar dan dat de der deze die dit doch doen door
dus een eens en er ge geen had hadden heb hebben heeft hem het hier hij hoe hun iemand iets ik in is
ja je jij jou jouw jullie kan kon kunnen maar me meer men met mij mijn moet na naar niet niets nog
nu of om omdat ons onze ook op over reeds sinds te tegen toch toen tot tussen u uit uw van veel via
voor waar waarom wanneer want waren was wat we wel welke werd werden wie wij wil worden wordt zal ze
zelf zich zij zijn zo zoals zonder zou zouden
""",
    "swedish": """
alla allt att av bara blev bli blir blivit då där de dem den denna deras dess dessa det detta dig
din dina ditt du efter eller en er era ett från för före ha hade han hans har hon hennes honom hos
hur här i icke in ingen inget inom inte jag ju kan kunde man med mellan men mig min mina mitt mot
mycket ni nu när någon något några och om oss på samma sedan sig sin sina sitt själv ska skall
skulle som så sådan till under upp ut utan vad var vara varför varit vart vem vi vid vilka vilken
vilket vår våra än är åt över
""",
    "norwegian": """
alle andre at av bare ble bli blir blitt både da de deg dei dem den denne der dere deres det dette
din disse ditt du eg ein eit eller en enn er et etter for fordi fra før ha hadde han hans har hennes
henne her hos hun hva hvem hver hvilke hvilken hvis hvor hvordan hvorfor i ikke ingen inn ja jeg kan
kom kun kunne man med meg mellom men mens min mine mitt mot mye må ned noe noen nå når og også om
opp oss over på samme seg selv si siden sin sine sitt skal skulle slik som så til um under ut uten
var vi vil ville ved vår være vært å
""",
    "danish": """
ad af alle alt anden at bare blev blive bliver da de dem den denne der deres det dette dig din dine
disse dit dog du efter eller en end er et for fordi fra før ha han hans har havde hende hendes her
hos hun hvad hvem hver hvilken hvis hvor hvordan hvorfor i ikke ind ingen jeg jer jo kan kunne man
mange med meget mellem men mens mig min mine mit mod må ned nogle noget nogen nu når og også om op
os over på samme selv sig sin sine sit skal skulle som sådan så til ud uden under var ved vi vil
ville vor være været
""",
    "finnish": """
ei eivät emme en että ettei he heidän heille heitä hän häneen hänelle hänen hänet hänessä häntä ja
jo jos joka jossa jota jotka jotta johon jonka kanssa keitä ken kenen ketkä koska kuin kuka kun
kuten me meidän meille meitä mikä mikäli millä minkä minua minulla minulle minun minut minä missä
mitkä mitä mukaan mutta myös ne niiden niille niin niitä noin nuo nyt näiden nämä näitä ole olemme
olen olet olette oli olimme olin olisi olisit olisin olit olivat olla olleet ollut on ovat poikki se
sekä sen siihen siinä siitä sille sillä sinua sinulle sinun sinut sinä sitä tai te teidän teille
teitä tuo tuon tähän tällä tämä tämän tässä tästä tätä vaan vai vaikka vielä yli ynnä
""",
    "russian": """
а без более бы был была были было быть в вам вас весь во вот все всего всей всех вы где да даже для
до его ее её ей ему если есть еще ещё же за здесь и из или им ими их к как какая какой когда кто ко
ли либо между меня мне может мной можно мой моя мы на над надо нам нами нас наш наша не него нее неё
ней нем нём нет ни никто ним ними них но ну о об однако он она они оно от перед по под после потому
почти при про раз с сам свой своя себе себя со так такой также там те тебе тебя тем то тогда того
тоже той только том тот ту ты у уже хотя чего чей чем чему через что чтобы эта эти этих это этого
этой этом этот эту я
""",
    "arabic": """
من في على إلى الى عن مع هذا هذه ذلك تلك التي الذي الذين اللذين اللتين ما ماذا متى أين كيف كم لماذا
هل أن ان إن أو او أي ثم بل لا لم لن قد كان كانت كانوا يكون تكون ليس ليست هو هي هم هن هما أنا نحن أنت
أنتم كل بعض غير بين حتى عند عندما حيث إذا اذا لكن لكنه لكنها منذ خلال قبل بعد فوق تحت حول دون ضد كما
بينما لأن لان ولا وهو وهي وقد ومن وفي وعلى وإلى وما وكان وكانت ومع وأن فإن به بها بهم له لها لهم فيه
فيها منه منها منهم عليه عليها عنه عنها إليه إليها أيضا ايضا هناك هنا مثل سوف
""",
    "hindi": """
का की के को से में पर और या है हैं था थी थे हो होता होती होते हुआ हुई हुए गया गई गए ने यह ये वह वे
इस उस इन उन इसके उसके इसकी उसकी इसका उसका इसे उसे इसमें उसमें उनके उनकी उनका उन्हें इनके जो जिस जिसे
जिसमें जिसके जिन क्या कौन कब कहाँ कैसे क्यों कितना कितने कितनी किस किसने किसके किसी कोई कुछ एक भी ही
तो तक साथ लिए द्वारा बाद पहले अपने अपनी अपना कर करने करता करते करना किया रहा रही रहे लेकिन कि नहीं न
जब तब सकता सकते हम आप मैं वाले वाली
""",
    "turkish": """
ve veya ile bir bu şu o da de ki mi mı mu mü için gibi kadar daha en çok az ama fakat ancak ya hem
ne nasıl neden niçin hangi kim kime kimin nerede nereye kaç olan olarak olduğu olduğunu oldu olur
olan olması ise değil var yok her bazı tüm bütün hiç şey sonra önce göre karşı arasında üzerinde
tarafından ben sen biz siz onlar onun onu ona bunu buna bunun bunlar bunların şunlar kendi ediyor
edilen eden etmek etti dolayı dair diye çünkü eğer rağmen beri
""",
    "romanian": """
a ai al ale am ar are as asupra au avea aceasta această acest acesta acestei acestor acestui acești
aceste acel acela acele acei atunci ca care cât câte către ce cea cei cel cele celor cine cu cum
când da dacă dar de deci decât deși despre din dintre doar după ea ei el ele era erau este eu face
fi fie fost fără iar își îl îi în înainte încât între însă la le li lor lui mai mult mă ne nici nu o
ori pe pentru până peste prin printre sa sau se sub sunt și și-a să său sale săi spre te toate tot
toți un una unde unei unele unii unor unui va voi vor îmi
""",
    "greek": """
ο η το οι τα του της των τον την τους τις στο στη στην στον στους στις στα και κι ή αλλά όμως για
από με σε ως προς κατά μετά πριν παρά αντί μέχρι χωρίς δεν μην μη θα να αν ότι που πως πώς ποιος
ποια ποιο ποιοι ποιες πότε πού τι γιατί πόσο πόσα πόσοι πόσες είναι ήταν είχε είχαν έχει έχουν αυτό
αυτός αυτή αυτοί αυτές αυτά αυτού αυτής αυτών ένα ένας μια μία έναν ενός μιας όπως όταν ενώ επίσης
πολύ πιο όλα όλοι κάθε μου σου μας σας εγώ εσύ εμείς
""",
    "hungarian": """
a az egy és vagy de hogy nem is ez azt ezt ezek azok ennek annak erre arra ebben abban mint már még
csak ha van volt vannak voltak lesz lett lenne fel ki be le meg el át össze után előtt között alatt
felett által szerint miatt mellett miért mi mit mikor hol hogyan ki kik kit melyik mely amely
amelyek amelyet ami amit aki akik akit ahol amikor minden több sok majd most így úgy itt ott én te ő
mi ti ők őket neki nekik ne sem pedig illetve valamint azonban
""",
    "polish": """
a aby ale albo bardzo bez bo być był była było były byli będzie ci co czy dla do gdy gdyż gdzie go i
ich ile im in inne iż ja jak jaka jaki jakie jako jednak jego jej jest jeszcze jeśli już kiedy kto
która które którego której który których którym którzy lub ma mi między może mnie mój my na nad nam
nas nie nich nim niż o od on ona one oni oraz po pod podczas ponieważ poza przed przez przy są się
swoje swój ta tak także tam te tego tej ten to tu ty tych tylko tym u w we wszystkie wszystko z za
został została ze że żeby
""",
    "czech": """
a aby ale ani asi až během bez bude budou by byl byla byli bylo být co či do i ich jak jaký jaká
jaké jako je jeho jejich její jen jenž ještě jestli ji jí jiné již jsem jsme jsou k kam kde kdo kdy
když ke která které kterého kteří který kterou mezi mi mnoho mít má mají na nad nebo není než o od
on ona oni ono pak po pod podle pokud pouze před přes při pro proč protože s se si své svůj ta tak
také tam tato ten tento této tím to tohoto tu ty tyto u už v ve více všech všechny však z za ze že
""",
    "catalan": """
a al als amb aquest aquesta aquests aquestes aquell aquella això allò com contra d de del dels des
després durant e el ella elles ells els em en encara entre era eren és es esta està estan estat fins
ha han havia hi ho i ja jo l la les li lo més meu molt n ni no nosaltres o on per perquè però pel
pels qual quals quan què que quin quina quins quines qui s sa ser seu seus seva seves sense si sobre
són també tan tant tot tota tots totes un una unes uns va van vostè
""",
    "indonesian": """
ada adalah agar akan aku anda antara apa apakah atas atau bagaimana bagi bahwa banyak beberapa belum
berapa bisa bukan dalam dan dapat dari dengan di dia hanya harus hingga ia ini itu jika juga kami
kamu kapan karena ke kepada kita lain lebih maka mana mengapa mereka merupakan namun oleh pada para
saat saja sampai sangat saya sebagai sebelum sebuah secara sejak selama semua seperti serta setelah
siapa suatu sudah tapi telah tentang terhadap tersebut tetapi tidak untuk yaitu yang
""",
}
